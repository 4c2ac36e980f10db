//! Memories with a picture, by what the picture shows.

use super::store::Memories;
use super::tables::{COLUMNS, decode, id, vector};
use super::vectors::normalised;
use super::{Attachment, Memory, MemoryId, Tenant};
use crate::{BlobId, Error, Hash};
use sojourn_database::query;
use sqlx::AssertSqlSafe;

/// Number of rows read at once.
const PAGE: i64 = 512;

impl Memories {
    /// The memories whose pictures have the vectors nearest to `vector`, of the same `model`: at most `k` of those that are valid at
    /// `now_ms`, with the cosine of the angle, the nearest first. All vectors are compared, so a call takes a second for 100,000.
    ///
    /// # Errors
    /// [`Error::BadVector`], or any error of the store.
    pub async fn nearest_pictures(
        &self,
        tenant: &Tenant,
        (model, vector): (&str, &[f32]),
        k: usize,
        now_ms: i64,
    ) -> Result<Vec<(Memory, f32)>, Error> {
        let wanted = normalised(vector)?;
        let mut nearest: Vec<(Memory, f32)> = Vec::new();
        let mut visit = |memory: Memory, other: Vec<f32>| {
            if other.len() != wanted.len() {
                return;
            }
            let cosine = wanted.iter().zip(&other).map(|(one, other)| one * other).sum::<f32>();
            let at = nearest.partition_point(|(_, known)| *known >= cosine);
            if at < k {
                nearest.insert(at, (memory, cosine));
                nearest.truncate(k);
            }
        };
        self.each_picture(tenant, model, now_ms, &mut visit).await?;
        Ok(nearest)
    }

    /// The memories that are valid at `now_ms` and whose pictures have a vector of `model`, with that vector, in the order of creation.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn pictures(
        &self,
        tenant: &Tenant,
        model: &str,
        now_ms: i64,
    ) -> Result<Vec<(Memory, Vec<f32>)>, Error> {
        let mut found = Vec::new();
        self.each_picture(tenant, model, now_ms, &mut |memory, vector| found.push((memory, vector))).await?;
        Ok(found)
    }

    async fn each_picture(
        &self,
        tenant: &Tenant,
        model: &str,
        now_ms: i64,
        visit: &mut (dyn FnMut(Memory, Vec<f32>) + Send),
    ) -> Result<(), Error> {
        let sql = format!(
            "SELECT {COLUMNS}, memories.no AS row_no, v.vector AS features FROM memories \
             JOIN memory_vectors v ON v.memory = memories.no JOIN memory_models m ON m.no = v.model \
             WHERE memories.tenant = ?1 AND m.name = ?2 AND blob IS NOT NULL AND memories.no > ?3 \
             AND (valid_to_ms IS NULL OR valid_to_ms > ?4) ORDER BY memories.no LIMIT ?5"
        );
        let mut after = 0_i64;
        loop {
            let rows = query(AssertSqlSafe(sql.as_str()))
                .bind(tenant.as_str())
                .bind(model)
                .bind(after)
                .bind(now_ms)
                .bind(PAGE)
                .fetch_all(&self.store.pool)
                .await?;
            for row in &rows {
                after = row.try_get("row_no")?;
                visit(decode(row)?, vector(row.try_get("features")?)?);
            }
            if (rows.len() as i64) < PAGE {
                return Ok(());
            }
        }
    }

    /// Memories whose pictures have no vector of `model` yet, the newest first, at most `limit`.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn unseen_pictures(
        &self,
        tenant: &Tenant,
        model: &str,
        limit: usize,
    ) -> Result<Vec<(MemoryId, Attachment)>, Error> {
        let rows = query(
            "SELECT id, blob, media_type FROM memories WHERE tenant = ?1 AND blob IS NOT NULL AND media_type LIKE 'image/%' \
             AND EXISTS (SELECT 1 FROM blobs WHERE blobs.id = memories.blob) AND NOT EXISTS \
             (SELECT 1 FROM memory_vectors v JOIN memory_models m ON m.no = v.model \
              WHERE v.memory = memories.no AND m.name = ?2) ORDER BY no DESC LIMIT ?3",
        )
        .bind(tenant.as_str())
        .bind(model)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.store.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let blob = BlobId(Hash::try_from(row.try_get::<&[u8], _>(1)?)?);
                Ok((id(row, 0)?, Attachment { blob, media_type: row.try_get(2)? }))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Embedding, MemoryKind, NewMemory, Store};

    const MODEL: &str = "eyes";

    async fn picture(
        memories: &Memories,
        tenant: &Tenant,
        text: &str,
        blob: BlobId,
        vector: Option<&[f32]>,
    ) -> Memory {
        let mut new = NewMemory::new(tenant.clone(), MemoryKind::Fact, text);
        new.seq = crate::EventSeq(u64::from(text.as_bytes()[0]));
        new.attachment = Some(Attachment { blob, media_type: "image/png".to_owned() });
        let vectors = vector.map(|vector| Embedding { model: MODEL.into(), vector: vector.to_vec() });
        memories.remember(&new, vectors.as_slice()).await.unwrap()
    }

    #[tokio::test]
    async fn the_nearest_pictures_of_the_tenant_come_first_and_unseen_ones_are_listed() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).await.unwrap();
        let memories = Memories::new(store.clone());
        let (own, other) = (Tenant::new("own").unwrap(), Tenant::new("other").unwrap());
        let blob = store.put_blob(b"a picture").await.unwrap();
        let east = picture(&memories, &own, "a east", blob, Some(&[2.0, 0.0])).await;
        let north = picture(&memories, &own, "b north", blob, Some(&[0.0, 1.0])).await;
        let unseen = picture(&memories, &own, "c unseen", blob, None).await;
        picture(&memories, &other, "d foreign", blob, Some(&[1.0, 0.0])).await;
        let found = memories.nearest_pictures(&own, (MODEL, &[3.0, 1.0]), 5, 0).await.unwrap();
        let ids: Vec<MemoryId> = found.iter().map(|(memory, _)| memory.id).collect();
        assert_eq!(ids, [east.id, north.id]);
        assert!(found[0].1 > 0.9 && found[1].1 < 0.5, "{found:?}");
        assert_eq!(memories.nearest_pictures(&own, (MODEL, &[3.0, 1.0]), 1, 0).await.unwrap().len(), 1);
        let listed = memories.unseen_pictures(&own, MODEL, 9).await.unwrap();
        assert_eq!(listed.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [unseen.id]);
        assert_eq!(memories.pictures(&own, MODEL, 0).await.unwrap().len(), 2);
        assert!(memories.nearest_pictures(&own, (MODEL, &[f32::NAN, 1.0]), 1, 0).await.is_err());
    }

    /// Two memories of one picture: its bytes go with the second one, from every file of the home.
    #[tokio::test]
    async fn forgetting_removes_the_bytes_of_a_picture_once_no_memory_has_it() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).await.unwrap();
        let memories = Memories::new(store.clone());
        let tenant = Tenant::new("own").unwrap();
        let bytes: Vec<u8> = (0..4000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let blob = store.put_blob(&bytes).await.unwrap();
        let first = picture(&memories, &tenant, "a cat in a tree", blob, Some(&[1.0, 0.0])).await;
        let second = picture(&memories, &tenant, "b cat on a roof", blob, None).await;
        let forgotten = memories.forget(&tenant, &first.id).await.unwrap().unwrap();
        assert_eq!((forgotten.blobs, forgotten.models.as_slice()), (0, &[MODEL.to_owned()][..]));
        assert!(store.has_blob(&blob).await.unwrap(), "the other memory still shows it");
        let forgotten = memories.forget(&tenant, &second.id).await.unwrap().unwrap();
        assert_eq!((forgotten.blobs, forgotten.residue.as_slice()), (1, &[][..]));
        assert!(!store.has_blob(&blob).await.unwrap());
        assert!(memories.pictures(&tenant, MODEL, 0).await.unwrap().is_empty());
        for file in std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path()) {
            let content = if file.is_file() { std::fs::read(&file).unwrap() } else { Vec::new() };
            assert!(!content.windows(64).any(|window| window == &bytes[..64]), "{}", file.display());
        }
    }
}
