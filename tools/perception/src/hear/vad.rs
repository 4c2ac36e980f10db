//! Voice activity: a network gives the probability of speech for every 32 ms (Silero VAD), and spans are cut from those.

use rten::{Model, Value};

/// Samples of a frame, and those before it that the network sees too.
pub(super) const FRAME: usize = 512;
const CONTEXT: usize = 64;
/// Numbers of the network's memory.
const STATE: usize = 128;
/// Probability from which speech begins, and below which it may end.
const SPEECH: f32 = 0.5;
const SILENCE: f32 = 0.35;
/// Speech that is shorter than this, in frames, is a noise: 250 ms.
const SHORTEST: usize = 8;

/// The network, with its memory of a sound.
pub(super) struct Voice<'a> {
    model: &'a Model,
    memory: [Vec<f32>; 2],
    context: Vec<f32>,
}

impl<'a> Voice<'a> {
    pub(super) fn new(model: &'a Model) -> Self {
        Self { model, memory: [vec![0.0; STATE], vec![0.0; STATE]], context: vec![0.0; CONTEXT] }
    }

    /// The probability of speech in each frame of `samples`, whose number is a multiple of [`FRAME`].
    ///
    /// # Errors
    /// The network is of another kind.
    pub(super) fn hear(&mut self, samples: &[f32]) -> Result<Vec<f32>, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let frames = samples.len() / FRAME;
        let mut input = Vec::with_capacity(frames * (FRAME + CONTEXT));
        for frame in samples.chunks_exact(FRAME) {
            input.extend_from_slice(&self.context);
            input.extend_from_slice(frame);
            self.context.copy_from_slice(&frame[FRAME - CONTEXT..]);
        }
        let node = |name: &str| self.model.node_id(name).map_err(|error| text(&error));
        let [h, c] = &self.memory;
        let value =
            |shape: &[usize], data: Vec<f32>| Value::from_shape(shape, data).map_err(|error| text(&error));
        let inputs = vec![
            (node("input")?, value(&[frames, FRAME + CONTEXT], input)?.into()),
            (node("h")?, value(&[1, 1, STATE], h.clone())?.into()),
            (node("c")?, value(&[1, 1, STATE], c.clone())?.into()),
        ];
        let outputs = [node("speech_probs")?, node("hn")?, node("cn")?];
        let found = self.model.run(inputs, &outputs, None).map_err(|error| text(&error))?;
        let mut found = found.into_iter().map(numbers);
        let mut next = || found.next().unwrap_or_else(|| Err("an output is missing".to_owned()));
        let (probabilities, h, c) = (next()?, next()?, next()?);
        if probabilities.len() != frames || h.len() != STATE || c.len() != STATE {
            return Err("its outputs have other sizes".to_owned());
        }
        self.memory = [h, c];
        Ok(probabilities)
    }
}

fn numbers(value: Value) -> Result<Vec<f32>, String> {
    let tensor: rten_tensor::Tensor<f32> =
        value.try_into().map_err(|error: rten::TryFromValueError| error.to_string())?;
    Ok(tensor.into_data())
}

/// Cuts spans of speech, in frames, from the probabilities as they come.
pub(super) struct Spans {
    /// Frames of silence that end a span.
    silence: usize,
    /// Limit on a span.
    longest: usize,
    start: Option<usize>,
    /// Since the start.
    probabilities: Vec<f32>,
    quiet: usize,
    frame: usize,
}

impl Spans {
    pub(super) fn new(silence: usize, longest: usize) -> Self {
        Self { silence, longest, start: None, probabilities: Vec::new(), quiet: 0, frame: 0 }
    }

    /// The first frame that a later span may begin with.
    pub(super) fn needed(&self) -> usize {
        self.start.unwrap_or(self.frame)
    }

    /// The span that ends with the next frame, if one does.
    pub(super) fn push(&mut self, probability: f32) -> Option<(usize, usize)> {
        let frame = self.frame;
        self.frame += 1;
        let Some(start) = self.start else {
            if probability >= SPEECH {
                (self.start, self.quiet) = (Some(frame), 0);
                self.probabilities = vec![probability];
            }
            return None;
        };
        self.probabilities.push(probability);
        self.quiet = if probability < SILENCE { self.quiet + 1 } else { 0 };
        if self.quiet >= self.silence {
            return self.finish();
        }
        if self.probabilities.len() < self.longest {
            return None;
        }
        // It is cut where speech is least likely in its second half.
        let half = self.longest / 2;
        let later = self.probabilities.iter().enumerate().skip(half);
        let cut = later.min_by(|one, other| one.1.total_cmp(other.1)).map_or(half, |(at, _)| at.max(1));
        self.probabilities.drain(..cut);
        self.start = Some(start + cut);
        Some((start, start + cut))
    }

    /// The span that the end of the sound ends.
    pub(super) fn finish(&mut self) -> Option<(usize, usize)> {
        let start = self.start.take()?;
        let end = self.frame - std::mem::take(&mut self.quiet);
        (end - start >= SHORTEST).then_some((start, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(probabilities: &[(usize, f32)], silence: usize, longest: usize) -> Vec<(usize, usize)> {
        let mut spans = Spans::new(silence, longest);
        let each = probabilities.iter().flat_map(|(count, p)| std::iter::repeat_n(*p, *count));
        let mut found: Vec<_> = each.filter_map(|p| spans.push(p)).collect();
        found.extend(spans.finish());
        found
    }

    #[test]
    fn speech_is_cut_at_silence_and_noises_are_left_out() {
        assert_eq!(spans(&[(50, 0.1)], 10, 100), []);
        assert_eq!(spans(&[(5, 0.1), (20, 0.9), (12, 0.1), (3, 0.9), (20, 0.1)], 10, 100), [(5, 25)]);
        assert_eq!(spans(&[(20, 0.9), (9, 0.1), (20, 0.4), (3, 0.1)], 10, 100), [(0, 49)]);
        assert_eq!(spans(&[(4, 0.4), (20, 0.9)], 10, 100), [(4, 24)]);
    }

    #[test]
    fn long_speech_is_cut_where_it_is_quietest_and_nothing_is_lost() {
        let found = spans(&[(60, 0.9), (2, 0.6), (100, 0.9)], 10, 80);
        assert_eq!(found[0], (0, 60));
        assert!(found.windows(2).all(|pair| pair[0].1 == pair[1].0), "{found:?}");
        assert_eq!(found.last().unwrap().1, 162);
        assert!(found.iter().all(|(start, end)| end - start <= 80), "{found:?}");
    }
}
