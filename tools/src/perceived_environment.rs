use crate::outside::text::cut;
use crate::{
    Action, Environment, EnvironmentError, EnvironmentSpec, EpisodePrefix, Frame, Observation, Progress,
    StepOutcome, ToolCall,
};
use async_trait::async_trait;
use serde_json::Value;
use std::sync::Arc;

/// The field of the state that holds the text in the picture.
const FIELD: &str = "seen";
/// Limit on that text, in characters.
const MAX_TEXT: usize = 4000;

/// Reads the text in pictures.
#[async_trait]
pub trait PictureReader: Send + Sync {
    /// The text, line by line; empty where there is none.
    ///
    /// # Errors
    /// Why the picture cannot be read, in lower case.
    async fn read(&self, picture: Frame) -> Result<String, String>;
}

/// A world whose state has, besides its own fields, the text in its picture as `seen`: for skills, and for the search for
/// programs, which can branch on it.
///
/// The text is part of the observation, and the world counts as one that is not computed again, so the log has all of it. A replay
/// needs neither the picture nor the networks. Text in a picture comes from outside, whatever the world is: the world is not trusted.
pub struct PerceivedEnvironment {
    environment: Box<dyn Environment>,
    spec: EnvironmentSpec,
    reader: Arc<dyn PictureReader>,
    seen: String,
}

impl PerceivedEnvironment {
    /// Adds to `environment` what `reader` reads in its pictures.
    pub fn new(environment: Box<dyn Environment>, reader: Arc<dyn PictureReader>) -> Self {
        let spec = EnvironmentSpec { deterministic: false, untrusted: true, ..environment.spec().clone() };
        Self { environment, spec, reader, seen: String::new() }
    }

    /// Reads the present picture. A world that is over may have none.
    async fn perceive(&mut self, over: bool) -> Result<(), EnvironmentError> {
        let failed = |reason: String| EnvironmentError::Failed { reason };
        self.seen = match self.environment.frame().await {
            Some(picture) => {
                let text = self.reader.read(picture).await;
                let text = text.map_err(|reason| failed(format!("its picture cannot be read: {reason}")))?;
                cut(&text, MAX_TEXT)
            }
            None if over => String::new(),
            None => {
                let reason = "it gives no picture, which `run.perceive` needs; where secrets are declared, there is none";
                return Err(failed(reason.to_owned()));
            }
        };
        Ok(())
    }

    /// Adds what is seen to a state. One that is no object stays as it is.
    fn add_to(&self, state: &mut Value) {
        if let Value::Object(fields) = state {
            fields.insert(FIELD.to_owned(), Value::from(self.seen.as_str()));
        }
    }
}

#[async_trait]
impl Environment for PerceivedEnvironment {
    fn spec(&self) -> &EnvironmentSpec {
        &self.spec
    }

    async fn reset(&mut self, seed: u64) -> Result<(), EnvironmentError> {
        self.environment.reset(seed).await?;
        self.perceive(false).await
    }

    fn observe(&self) -> Result<Observation, EnvironmentError> {
        let mut observation = self.environment.observe()?;
        self.add_to(&mut observation.state);
        if !self.seen.is_empty() {
            let text = observation.text.trim_end();
            let gap = if text.is_empty() { "" } else { "\n" };
            observation.text = format!("{text}{gap}In the picture: {}", self.seen);
        }
        Ok(observation)
    }

    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError> {
        self.environment.begin(call)
    }

    fn advance(&mut self) -> Result<Progress, EnvironmentError> {
        self.environment.advance()
    }

    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError> {
        let mut outcome = self.environment.step(action).await?;
        self.perceive(outcome.ended.is_some()).await?;
        self.add_to(&mut outcome.state);
        Ok(outcome)
    }

    fn own_name(&self, name: &str) -> Option<&str> {
        self.environment.own_name(name)
    }

    fn permits(&self, action: &Action) -> bool {
        self.environment.permits(action)
    }

    async fn frame(&mut self) -> Option<Frame> {
        self.environment.frame().await
    }

    async fn rejoin(&mut self, past: &EpisodePrefix) -> Result<bool, EnvironmentError> {
        let mut own = past.clone();
        if let Value::Object(fields) = &mut own.state {
            fields.remove(FIELD);
        }
        if !self.environment.rejoin(&own).await? {
            return Ok(false);
        }
        self.perceive(true).await?;
        Ok(past.state.get(FIELD).is_none_or(|seen| seen.as_str() == Some(&self.seen)))
    }

    fn practice(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(Self::new(self.environment.practice()?, Arc::clone(&self.reader))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ending, EndingKind};
    use serde_json::json;

    /// A sign that shows how often it was turned, until it breaks.
    struct Sign {
        spec: EnvironmentSpec,
        turned: u8,
    }

    fn sign() -> Box<dyn Environment> {
        let spec = serde_json::from_value(json!({
            "name": "sign", "version": "1", "deterministic": true, "about": "A sign.", "tools": [], "recipes": [],
            "actions": ["turn"], "tasks": [], "examples": [], "vitals": []
        }));
        Box::new(Sign { spec: spec.unwrap(), turned: 0 })
    }

    #[async_trait]
    impl Environment for Sign {
        fn spec(&self) -> &EnvironmentSpec {
            &self.spec
        }
        async fn reset(&mut self, _seed: u64) -> Result<(), EnvironmentError> {
            self.turned = 0;
            Ok(())
        }
        fn observe(&self) -> Result<Observation, EnvironmentError> {
            Ok(Observation::new("A sign.", json!({"age": 7})))
        }
        fn begin(&mut self, _call: &ToolCall) -> Result<(), EnvironmentError> {
            Ok(())
        }
        fn advance(&mut self) -> Result<Progress, EnvironmentError> {
            Err(EnvironmentError::NoCall)
        }
        async fn step(&mut self, _action: &Action) -> Result<StepOutcome, EnvironmentError> {
            self.turned += 1;
            let broken = Ending { kind: EndingKind::Died, cause: "it broke".into() };
            let ended = (self.turned == 2).then_some(broken);
            Ok(StepOutcome { state: json!({"age": 7}), reward: 0.0, unlocked: Vec::new(), ended })
        }
        async fn frame(&mut self) -> Option<Frame> {
            (self.turned < 2).then(|| Frame { bytes: vec![b'A' + self.turned], mime: "image/png".into() })
        }
        async fn rejoin(&mut self, past: &EpisodePrefix) -> Result<bool, EnvironmentError> {
            self.turned = 1;
            Ok(past.state == json!({"age": 7}))
        }
        fn practice(&self) -> Option<Box<dyn Environment>> {
            Some(sign())
        }
    }

    struct Spelling;

    #[async_trait]
    impl PictureReader for Spelling {
        async fn read(&self, picture: Frame) -> Result<String, String> {
            match picture.bytes.as_slice() {
                [b'C'] => Err("it is blurred".into()),
                bytes => Ok(String::from_utf8_lossy(bytes).into_owned()),
            }
        }
    }

    #[tokio::test]
    async fn what_is_read_in_the_picture_is_part_of_the_state_and_of_no_trusted_world() {
        let mut world = PerceivedEnvironment::new(sign(), Arc::new(Spelling)).practice().unwrap();
        let spec = world.spec();
        assert!(spec.untrusted && !spec.deterministic, "a replay would need the networks");
        world.reset(1).await.unwrap();
        let seen = world.observe().unwrap();
        assert_eq!(
            (seen.text.as_str(), seen.state),
            ("A sign.\nIn the picture: A", json!({"age": 7, "seen": "A"}))
        );
        let turn = Action("turn".into());
        assert_eq!(world.step(&turn).await.unwrap().state["seen"], "B");
        // The last moment of an episode may have no picture.
        let last = world.step(&turn).await.unwrap();
        assert!(last.ended.is_some() && last.state["seen"] == "");
        let past = |seen: &str| EpisodePrefix {
            seed: 1,
            actions: vec![turn.clone()],
            state: json!({"age": 7, "seen": seen}),
        };
        assert!(world.rejoin(&past("B")).await.unwrap());
        assert!(!world.rejoin(&past("A")).await.unwrap(), "it shows something else now");
    }

    #[tokio::test]
    async fn a_world_without_a_picture_is_an_error_that_names_the_setting() {
        let blind = Box::new(crate::SpecOnlyEnvironment::new(sign().spec().clone()));
        let mut world = PerceivedEnvironment::new(blind, Arc::new(Spelling));
        let error = world.perceive(false).await.unwrap_err().to_string();
        assert!(error.contains("it gives no picture, which `run.perceive` needs"), "{error}");
        let mut sign = PerceivedEnvironment::new(sign(), Arc::new(Spelling));
        sign.environment.reset(1).await.unwrap();
        assert!(sign.perceive(false).await.is_ok());
    }
}
