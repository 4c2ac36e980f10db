//! Mutations of a corpus: of bytes, of numbers, and of the tokens of JSON.

use fastrand::Rng;
use std::ops::Range;

/// The longest input, in bytes.
const LONGEST: usize = 64 << 10;

/// Tokens that readers treat in a way of their own.
const TOKENS: [&str; 44] = [
    "null",
    "true",
    "false",
    "{}",
    "[]",
    "{\"$blob\":\"zz\"}",
    "{\"$forgotten\":true}",
    "\"$blob\"",
    "\"$$blob\"",
    "\"kind\"",
    "\"line\":\"run\"",
    "\"depth\"",
    "0",
    "-0.0",
    "-1",
    "255",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "1e308",
    "-1e308",
    "1e-400",
    "0.1",
    "NaN",
    "Infinity",
    "\u{feff}",
    "\u{1b}[2J",
    "\u{9b}31m",
    "\u{202e}",
    "\\u0000",
    "\\ud800",
    "\"",
    "\n",
    "\r\n",
    ":",
    "../",
    "%2e%2e",
    "${HOME}",
    "---\n",
];

/// The numbers among [`TOKENS`].
const NUMBERS: Range<usize> = 12..28;

/// The source of randomness of one execution.
pub fn random(seed: u64, target: &str, number: u64) -> Rng {
    let name = target.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Rng::with_seed(seed.rotate_left(32) ^ name ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// An entry of the corpus, mutated a few times.
pub fn mutated(corpus: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let entry =
        |random: &mut Rng| corpus.get(random.usize(..corpus.len().max(1))).cloned().unwrap_or_default();
    let mut input = entry(random);
    for _ in 0..random.usize(1..=6) {
        mutate(&mut input, random, &entry);
        input.truncate(LONGEST);
    }
    input
}

fn mutate(input: &mut Vec<u8>, random: &mut Rng, entry: &impl Fn(&mut Rng) -> Vec<u8>) {
    let at = random.usize(..=input.len());
    let range = |random: &mut Rng| at..random.usize(at..=(at + 64).min(input.len()));
    match random.u8(..11) {
        0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
        1 if at < input.len() => input[at] = random.u8(..),
        2 => {
            let bytes: Vec<u8> = (0..random.usize(1..16)).map(|_| random.u8(..)).collect();
            input.splice(at..at, bytes);
        }
        3 => {
            let range = range(random);
            input.drain(range);
        }
        4 => {
            let range = range(random);
            let copy = input[range].repeat(random.usize(1..8));
            input.splice(at..at, copy);
        }
        5 => {
            let other = entry(random);
            let from = random.usize(..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        6 | 7 => {
            let token = TOKENS[random.usize(..TOKENS.len())];
            input.splice(at..at, token.bytes());
        }
        8 => replace_number(input, random),
        9 => {
            let depth = random.usize(1..200);
            let (open, close) = if random.bool() { ("[", "]") } else { ("{\"a\":", "}") };
            input.splice(at..at, close.repeat(depth).bytes());
            input.splice(at..at, open.repeat(depth).bytes());
        }
        _ => input.truncate(at),
    }
}

/// Puts an extreme number in the place of one that is there.
fn replace_number(input: &mut Vec<u8>, random: &mut Rng) {
    let starts: Vec<usize> = (0..input.len())
        .filter(|&at| input[at].is_ascii_digit() && (at == 0 || !input[at - 1].is_ascii_digit()))
        .collect();
    let Some(&start) = random.choice(&starts) else { return };
    let end = start + input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let numbers = &TOKENS[NUMBERS];
    let number = numbers[random.usize(..numbers.len())];
    input.splice(start..end, number.bytes());
}
