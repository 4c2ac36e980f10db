//! One spelling for texts that look alike, so that a word is found however it was written.

use super::tokenize::indexed;
use crate::Error;
use crate::dialect::Dialect;
use sojourn_database::{Access, Connection, query};
use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization as _;

/// Version of the rules of [`fold`]. A store with another version is indexed again when it is opened.
const FOLDING: i64 = 1;
/// Number of rows read at once.
const PAGE: i64 = 512;

/// The spelling that words are indexed and searched by: NFKC (Unicode Standard Annex 15), without characters that are not
/// seen. Ligatures, full-width letters, composed and decomposed letters become alike; a soft hyphen does not split a word.
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut hyphen = false;
    let seen = text.chars().filter(|c| {
        // A soft hyphen at the end of a line is in the middle of a word. An empty line after it ends the word.
        let is_break = hyphen && matches!(c, '\n' | '\r');
        hyphen = *c == '\u{ad}' || is_break && *c == '\r';
        !is_break && !is_unseen(*c)
    });
    let seen = seen.map(|c| if c == '\u{200b}' { ' ' } else { c });
    let folded: String = seen.nfkc().collect();
    if folded == text { Cow::Borrowed(text) } else { Cow::Owned(folded) }
}

/// The text for the index of words, where it differs from the text itself.
pub(super) fn folded(text: &str) -> Option<String> {
    match fold(text) {
        Cow::Borrowed(_) => None,
        Cow::Owned(folded) => Some(folded),
    }
}

/// Soft hyphens, joiners, marks of direction, variation selectors and tags. The zero-width space separates words.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}')
}

/// Indexes all texts again if the store was written by other rules.
pub(crate) async fn refresh(connection: &mut Connection<'_>) -> Result<(), Error> {
    if version(connection).await? == FOLDING {
        return Ok(());
    }
    let mut transaction = connection.begin(Access::Write).await?;
    let mut after = 0_i64;
    loop {
        let rows = query("SELECT no, text, folded FROM memories WHERE no > ? ORDER BY no LIMIT ?")
            .bind(after)
            .bind(PAGE)
            .fetch_all(&mut *transaction)
            .await?;
        for row in &rows {
            after = row.try_get(0)?;
            let text = row.text(1)?;
            let new = folded(&text);
            if new.as_deref() != row.try_get(2)? {
                query("UPDATE memories SET folded = ? WHERE no = ?")
                    .bind(new)
                    .bind(after)
                    .execute(&mut *transaction)
                    .await?;
            }
            index(&mut transaction, after, &text).await?;
        }
        if (rows.len() as i64) < PAGE {
            break;
        }
    }
    if let Some(rebuild) = Dialect::of(transaction.engine()).rebuild_words.filter(|_| after > 0) {
        query(rebuild).execute(&mut *transaction).await?;
    }
    query("UPDATE memory_store SET folding = ?").bind(FOLDING).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Indexes the words of a memory, where the tables do not do it by themselves. `no` is its row.
pub(super) async fn index(connection: &mut Connection<'_>, no: i64, text: &str) -> Result<(), Error> {
    let Some(sql) = Dialect::of(connection.engine()).index_words else { return Ok(()) };
    let words = serde_json::json!(indexed(text)).to_string();
    query(sql).bind(no).bind(words).execute(connection).await?;
    Ok(())
}

async fn version(connection: &mut Connection<'_>) -> Result<i64, Error> {
    Ok(query("SELECT folding FROM memory_store").fetch_one(connection).await?.try_get(0)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_that_look_alike_become_one() {
        for (text, expected) in [
            ("office", "office"),
            ("o\u{fb03}ce", "office"),
            ("ＡＢＣ１２", "ABC12"),
            ("cafe\u{301}", "café"),
            ("\u{1112}\u{1161}\u{11ab}", "한"),
            ("ｶﾞ", "ガ"),
            ("co\u{ad}operate", "cooperate"),
            ("co\u{ad}\r\noperate\nmore", "cooperate\nmore"),
            ("co\u{ad}\n\noperate", "co\noperate"),
            ("zero\u{200d}width\u{feff}", "zerowidth"),
            ("two\u{200b}words", "two words"),
            ("③ ㎏", "3 kg"),
            ("straße", "straße"),
        ] {
            assert_eq!(fold(text), expected, "{text:?}");
        }
        assert_eq!(folded("plain"), None);
    }

    proptest! {
        /// A folded text is its own fold, so a row is compared with what is stored once.
        #[test]
        fn folding_twice_changes_nothing(text in any::<String>()) {
            let once = fold(&text).into_owned();
            prop_assert_eq!(fold(&once).into_owned(), once);
        }
    }
}
