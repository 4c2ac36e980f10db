//! The Whisper network (Radford et al. 2022): an encoder of sound, and a decoder that writes text by looking at it.

use super::math::{Rows, add, gelu, normalised, product, softmax};
use super::mel::{FRAMES, Spectrogram};
use super::weights::Weights;

/// Every head has this many columns.
const HEAD: usize = 64;
/// Positions of encoded sound: half as many as windows.
const HEARD: usize = FRAMES / 2;

struct Linear {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

/// Attention of the positions on themselves.
struct SelfAttention {
    norm: Norm,
    /// Queries, keys and values in one.
    all: Linear,
    out: Linear,
}

/// Attention of the written text on the encoded sound.
struct CrossAttention {
    norm: Norm,
    queries: Linear,
    /// Keys and values in one.
    sound: Linear,
    out: Linear,
}

struct FeedForward {
    norm: Norm,
    wide: Linear,
    narrow: Linear,
}

struct EncoderLayer {
    attention: SelfAttention,
    feed: FeedForward,
}

struct DecoderLayer {
    attention: SelfAttention,
    cross: CrossAttention,
    feed: FeedForward,
}

/// A loaded network.
pub(super) struct Network {
    spectrogram: Spectrogram,
    bands: usize,
    /// Columns of every position.
    width: usize,
    conv1: Linear,
    conv2: Linear,
    sound_positions: Vec<f32>,
    encoder: Vec<EncoderLayer>,
    encoder_norm: Norm,
    embeddings: Vec<f32>,
    text_positions: Vec<f32>,
    decoder: Vec<DecoderLayer>,
    decoder_norm: Norm,
}

/// A sound as the decoder looks at it, and what it has written so far.
pub(super) struct Writing {
    /// Keys and values of the sound, for each layer.
    sound: Vec<Vec<f32>>,
    /// Queries, keys and values of the text, for each layer.
    text: Vec<Vec<f32>>,
    written: usize,
}

impl Network {
    /// Reads the network of a `model.bin`.
    ///
    /// # Errors
    /// What is wrong with it, in lower case.
    pub(super) fn read(file: &[u8]) -> Result<Self, String> {
        let mut weights = Weights::read(file)?;
        let ([width, bands, 3], conv1) = weights.take::<3>("encoder/conv1/weight")? else {
            return Err("`encoder/conv1/weight` has another shape".to_owned());
        };
        if width == 0 || width % HEAD != 0 || bands == 0 {
            return Err(format!("a width of {width} with {bands} bands is not supported"));
        }
        let conv1 = Linear { weight: conv1, bias: vector(&mut weights, "encoder/conv1/bias", width)? };
        let conv2 = Linear {
            weight: sized(weights.take::<3>("encoder/conv2/weight")?.1, width * width * 3, "conv2")?,
            bias: vector(&mut weights, "encoder/conv2/bias", width)?,
        };
        let (_, sound_positions) = weights.take::<2>("encoder/position_encodings/encodings")?;
        let sound_positions = sized(sound_positions, HEARD * width, "positions of sound")?;
        let mut encoder = Vec::new();
        while weights.has(&format!("encoder/layer_{}/ffn/linear_0/weight", encoder.len())) {
            let name = format!("encoder/layer_{}", encoder.len());
            encoder.push(EncoderLayer {
                attention: self_attention(&mut weights, &name, width)?,
                feed: feed_forward(&mut weights, &name, width)?,
            });
        }
        let ([vocabulary, columns], embeddings) = weights.take::<2>("decoder/embeddings/weight")?;
        let (_, text_positions) = weights.take::<2>("decoder/position_encodings/encodings")?;
        if columns != width
            || vocabulary == 0
            || text_positions.len() % width != 0
            || text_positions.is_empty()
        {
            return Err("its decoder has another width than its encoder".to_owned());
        }
        let mut decoder = Vec::new();
        while weights.has(&format!("decoder/layer_{}/ffn/linear_0/weight", decoder.len())) {
            let name = format!("decoder/layer_{}", decoder.len());
            decoder.push(DecoderLayer {
                attention: self_attention(&mut weights, &name, width)?,
                cross: CrossAttention {
                    norm: norm(&mut weights, &format!("{name}/attention/layer_norm"), width)?,
                    queries: linear(&mut weights, &format!("{name}/attention/linear_0"), width, width)?,
                    sound: linear(&mut weights, &format!("{name}/attention/linear_1"), 2 * width, width)?,
                    out: linear(&mut weights, &format!("{name}/attention/linear_2"), width, width)?,
                },
                feed: feed_forward(&mut weights, &name, width)?,
            });
        }
        if encoder.is_empty() || decoder.is_empty() {
            return Err("it has no layers".to_owned());
        }
        Ok(Self {
            spectrogram: Spectrogram::new(bands),
            bands,
            width,
            conv1,
            conv2,
            sound_positions,
            encoder,
            encoder_norm: norm(&mut weights, "encoder/layer_norm", width)?,
            embeddings,
            text_positions,
            decoder,
            decoder_norm: norm(&mut weights, "decoder/layer_norm", width)?,
        })
    }

    /// Tokens that the decoder can write.
    pub(super) fn vocabulary(&self) -> usize {
        self.embeddings.len() / self.width
    }

    /// Positions of text.
    pub(super) fn positions(&self) -> usize {
        self.text_positions.len() / self.width
    }

    /// Listens to at most 30 seconds.
    pub(super) fn listen(&self, samples: &[f32]) -> Result<Writing, String> {
        let width = self.width;
        let mel = self.spectrogram.of(samples)?;
        let mut x = convolved(&mel, self.bands, 1, &self.conv1)?;
        gelu(&mut x);
        let mut x = convolved(&x, width, 2, &self.conv2)?;
        gelu(&mut x);
        add(&mut x, &self.sound_positions);
        for layer in &self.encoder {
            let all = layer.attention.all.of(&layer.attention.norm.of(&x))?;
            let seen = attention(&all, 3 * width, 0, (&all, 3 * width, width, 2 * width), width)?;
            add(&mut x, &layer.attention.out.of(&seen)?);
            layer.feed.apply(&mut x)?;
        }
        let x = self.encoder_norm.of(&x);
        let sound = self.decoder.iter().map(|layer| layer.cross.sound.of(&x)).collect::<Result<_, _>>()?;
        Ok(Writing { sound, text: vec![Vec::new(); self.decoder.len()], written: 0 })
    }

    /// Writes one token and gives the scores of the next.
    pub(super) fn write(&self, writing: &mut Writing, token: usize) -> Result<Vec<f32>, String> {
        let width = self.width;
        let row = |at: usize| at * width..(at + 1) * width;
        let (Some(piece), Some(place)) =
            (self.embeddings.get(row(token)), self.text_positions.get(row(writing.written)))
        else {
            return Err("the text is too long".to_owned());
        };
        let mut x: Vec<f32> = piece.iter().zip(place).map(|(piece, place)| piece + place).collect();
        writing.written += 1;
        for (at, layer) in self.decoder.iter().enumerate() {
            let own = layer.attention.all.of(&layer.attention.norm.of(&x))?;
            let text = &mut writing.text[at];
            text.extend_from_slice(&own);
            let seen = attention(&own, 3 * width, 0, (text, 3 * width, width, 2 * width), width)?;
            add(&mut x, &layer.attention.out.of(&seen)?);
            let queries = layer.cross.queries.of(&layer.cross.norm.of(&x))?;
            let heard = attention(&queries, width, 0, (&writing.sound[at], 2 * width, 0, width), width)?;
            add(&mut x, &layer.cross.out.of(&heard)?);
            layer.feed.apply(&mut x)?;
        }
        let x = self.decoder_norm.of(&x);
        product(Rows::of(&x, width), Rows::of(&self.embeddings, width), true, None, 1.0)
    }
}

/// Scaled dot-product attention (Vaswani et al. 2017), head by head. The columns of queries start at `from` in rows of
/// `stride`; keys and values stand in rows of the given stride from the given columns on.
fn attention(
    queries: &[f32],
    stride: usize,
    from: usize,
    (seen, seen_stride, keys, values): (&[f32], usize, usize, usize),
    width: usize,
) -> Result<Vec<f32>, String> {
    let (queries, seen) = (Rows::of(queries, stride), Rows::of(seen, seen_stride));
    let mut out = vec![0.0; queries.count * width];
    for head in (0..width).step_by(HEAD) {
        let scale = (HEAD as f32).sqrt().recip();
        let keys = seen.columns(keys + head, HEAD);
        let mut weights = product(queries.columns(from + head, HEAD), keys, true, None, scale)?;
        softmax(&mut weights, seen.count);
        let found =
            product(Rows::of(&weights, seen.count), seen.columns(values + head, HEAD), false, None, 1.0)?;
        for (row, found) in out.chunks_exact_mut(width).zip(found.chunks_exact(HEAD)) {
            row[head..head + HEAD].copy_from_slice(found);
        }
    }
    Ok(out)
}

/// A convolution over three rows with one row of zeros around them, with steps of `stride` rows.
fn convolved(rows: &[f32], columns: usize, stride: usize, conv: &Linear) -> Result<Vec<f32>, String> {
    let count = rows.len() / columns;
    let mut windows = Vec::with_capacity(count / stride * columns * 3);
    for at in (0..count).step_by(stride) {
        for column in 0..columns {
            for row in at..at + 3 {
                // Row 0 is the one of zeros before the first.
                let value = if row == 0 { None } else { rows.get((row - 1) * columns + column) };
                windows.push(value.copied().unwrap_or(0.0));
            }
        }
    }
    let weight = Rows::of(&conv.weight, columns * 3);
    product(Rows::of(&windows, columns * 3), weight, true, Some(&conv.bias), 1.0)
}

impl Linear {
    fn of(&self, rows: &[f32]) -> Result<Vec<f32>, String> {
        let columns = self.weight.len() / self.bias.len();
        product(Rows::of(rows, columns), Rows::of(&self.weight, columns), true, Some(&self.bias), 1.0)
    }
}

impl Norm {
    fn of(&self, rows: &[f32]) -> Vec<f32> {
        normalised(rows, &self.gamma, &self.beta)
    }
}

impl FeedForward {
    fn apply(&self, x: &mut [f32]) -> Result<(), String> {
        let mut wide = self.wide.of(&self.norm.of(x))?;
        gelu(&mut wide);
        add(x, &self.narrow.of(&wide)?);
        Ok(())
    }
}

fn sized(data: Vec<f32>, count: usize, what: &str) -> Result<Vec<f32>, String> {
    if data.len() == count {
        Ok(data)
    } else {
        Err(format!("{what}: {} numbers instead of {count}", data.len()))
    }
}

fn vector(weights: &mut Weights, name: &str, count: usize) -> Result<Vec<f32>, String> {
    sized(weights.take::<1>(name)?.1, count, name)
}

fn norm(weights: &mut Weights, name: &str, width: usize) -> Result<Norm, String> {
    Ok(Norm {
        gamma: vector(weights, &format!("{name}/gamma"), width)?,
        beta: vector(weights, &format!("{name}/beta"), width)?,
    })
}

fn linear(weights: &mut Weights, name: &str, out: usize, columns: usize) -> Result<Linear, String> {
    let weight = format!("{name}/weight");
    Ok(Linear {
        weight: sized(weights.take::<2>(&weight)?.1, out * columns, &weight)?,
        bias: vector(weights, &format!("{name}/bias"), out)?,
    })
}

fn self_attention(weights: &mut Weights, name: &str, width: usize) -> Result<SelfAttention, String> {
    let name = format!("{name}/self_attention");
    Ok(SelfAttention {
        norm: norm(weights, &format!("{name}/layer_norm"), width)?,
        all: linear(weights, &format!("{name}/linear_0"), 3 * width, width)?,
        out: linear(weights, &format!("{name}/linear_1"), width, width)?,
    })
}

fn feed_forward(weights: &mut Weights, name: &str, width: usize) -> Result<FeedForward, String> {
    let name = format!("{name}/ffn");
    let (_, bias) = weights.take::<1>(&format!("{name}/linear_0/bias"))?;
    let (_, wide) = weights.take::<2>(&format!("{name}/linear_0/weight"))?;
    let inner = bias.len();
    if inner == 0 {
        return Err(format!("`{name}` is empty"));
    }
    Ok(FeedForward {
        norm: norm(weights, &format!("{name}/layer_norm"), width)?,
        wide: Linear { weight: sized(wide, inner * width, &name)?, bias },
        narrow: linear(weights, &format!("{name}/linear_1"), width, inner)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::weights::tests::file;
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    const WIDTH: usize = 128;
    const INNER: usize = 192;
    const BANDS: usize = 80;
    const LAYERS: usize = 2;
    const VOCABULARY: usize = 61;
    const POSITIONS: usize = 24;

    /// What the reference implementation says; `scripts/encoder_fixtures.py` writes it.
    #[derive(Deserialize)]
    struct Reference {
        seconds: usize,
        /// Bands of some windows.
        mel: BTreeMap<usize, Vec<f32>>,
        tokens: Vec<usize>,
        /// After each token.
        scores: Vec<Vec<f32>>,
    }

    /// Numbers between -scale and scale that only the name and the place decide, as the script computes them.
    fn formula(name: &str, count: usize, scale: f64) -> Vec<f32> {
        let seed =
            name.bytes().fold(2_166_136_261_u32, |seed, b| (seed ^ u32::from(b)).wrapping_mul(16_777_619));
        let number = |at: usize| {
            let mut x = (at as u32).wrapping_mul(0x9e37_79b9).wrapping_add(seed);
            for (shift, factor) in [(16, 0x85eb_ca6b), (13, 0xc2b2_ae35)] {
                x = (x ^ (x >> shift)).wrapping_mul(factor);
            }
            x ^= x >> 16;
            ((f64::from(x >> 8) / 16_777_216.0 * 2.0 - 1.0) * scale) as f32
        };
        (0..count).map(number).collect()
    }

    type Arrays = Vec<(String, Vec<usize>, Vec<f32>)>;

    fn put(arrays: &mut Arrays, name: String, shape: &[usize], scale: f64) {
        let numbers = formula(&name, shape.iter().product(), scale);
        arrays.push((name, shape.to_vec(), numbers));
    }

    /// A matrix and its bias, of which the part for `keys` is 0.
    fn put_linear(arrays: &mut Arrays, name: &str, out: usize, columns: usize, keys: std::ops::Range<usize>) {
        put(arrays, format!("{name}/weight"), &[out, columns], (3.0 / columns as f64).sqrt());
        let mut bias = formula(&format!("{name}/bias"), out, 0.1);
        bias[keys].fill(0.0);
        arrays.push((format!("{name}/bias"), vec![out], bias));
    }

    fn put_norm(arrays: &mut Arrays, name: &str) {
        let gamma =
            formula(&format!("{name}/gamma"), WIDTH, 0.2).into_iter().map(|value| 1.0 + value).collect();
        arrays.push((format!("{name}/gamma"), vec![WIDTH], gamma));
        put(arrays, format!("{name}/beta"), &[WIDTH], 0.1);
    }

    /// The `model.bin` of a small Whisper.
    fn model() -> Vec<u8> {
        let mut arrays = Arrays::new();
        for (number, columns) in [(1, BANDS), (2, WIDTH)] {
            let scale = (columns as f64).sqrt().recip();
            put(&mut arrays, format!("encoder/conv{number}/weight"), &[WIDTH, columns, 3], scale);
            put(&mut arrays, format!("encoder/conv{number}/bias"), &[WIDTH], 0.1);
        }
        put(&mut arrays, "encoder/position_encodings/encodings".into(), &[HEARD, WIDTH], 0.5);
        put(&mut arrays, "decoder/position_encodings/encodings".into(), &[POSITIONS, WIDTH], 0.5);
        put(&mut arrays, "decoder/embeddings/weight".into(), &[VOCABULARY, WIDTH], 0.5);
        for coder in ["encoder", "decoder"] {
            put_norm(&mut arrays, &format!("{coder}/layer_norm"));
            for name in (0..LAYERS).map(|layer| format!("{coder}/layer_{layer}")) {
                put_norm(&mut arrays, &format!("{name}/self_attention/layer_norm"));
                put_linear(
                    &mut arrays,
                    &format!("{name}/self_attention/linear_0"),
                    3 * WIDTH,
                    WIDTH,
                    WIDTH..2 * WIDTH,
                );
                put_linear(&mut arrays, &format!("{name}/self_attention/linear_1"), WIDTH, WIDTH, 0..0);
                if coder == "decoder" {
                    put_norm(&mut arrays, &format!("{name}/attention/layer_norm"));
                    put_linear(&mut arrays, &format!("{name}/attention/linear_0"), WIDTH, WIDTH, 0..0);
                    put_linear(
                        &mut arrays,
                        &format!("{name}/attention/linear_1"),
                        2 * WIDTH,
                        WIDTH,
                        0..WIDTH,
                    );
                    put_linear(&mut arrays, &format!("{name}/attention/linear_2"), WIDTH, WIDTH, 0..0);
                }
                put_norm(&mut arrays, &format!("{name}/ffn/layer_norm"));
                put_linear(&mut arrays, &format!("{name}/ffn/linear_0"), INNER, WIDTH, 0..0);
                put_linear(&mut arrays, &format!("{name}/ffn/linear_1"), WIDTH, INNER, 0..0);
            }
        }
        file(&arrays)
    }

    fn difference(one: &[f32], other: &[f32]) -> f32 {
        assert_eq!(one.len(), other.len());
        one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn spectrogram_encoder_and_decoder_agree_with_the_reference() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/whisper/reference.json");
        let reference: Reference = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let noise = formula("sound", reference.seconds * 16_000, 0.05);
        let sound: Vec<f32> = (0..noise.len())
            .map(|at| {
                let turn = std::f64::consts::TAU * at as f64 / 16_000.0;
                (0.3 * (440.0 * turn).sin() * (2.0 * turn).sin() + f64::from(noise[at])) as f32
            })
            .collect();
        let network = Network::read(&model()).unwrap();
        let mel = network.spectrogram.of(&sound).unwrap();
        assert_eq!(reference.mel.len(), 10);
        for (window, expected) in &reference.mel {
            let off = difference(&mel[window * BANDS..(window + 1) * BANDS], expected);
            assert!(off <= 1e-3, "window {window}: {off}");
        }
        let mut writing = network.listen(&sound).unwrap();
        assert_eq!(reference.scores.len(), 5);
        for (token, expected) in reference.tokens.iter().zip(&reference.scores) {
            let off = difference(&network.write(&mut writing, *token).unwrap(), expected);
            assert!(off <= 1e-3, "token {token}: {off}");
        }
    }
}
