//! A world without the values of secrets, so that a program sees what the log says.

use super::Redactor;
use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sojourn_tools::{
    Action, Environment, EnvironmentError, EnvironmentSpec, EpisodePrefix, Frame, Observation, Progress,
    Snapshot, StepOutcome, ToolCall,
};

/// Replaces secrets in everything that an environment shows. Its specification stays as it is: names in it belong to its actions.
pub struct RedactedEnvironment {
    environment: Box<dyn Environment>,
    redactor: Redactor,
}

impl RedactedEnvironment {
    /// Wraps a world that other programs compute; it is the environment itself where there are no secrets.
    pub fn wrap(environment: Box<dyn Environment>, redactor: &Redactor) -> Box<dyn Environment> {
        if redactor.is_empty() || environment.spec().deterministic {
            return environment;
        }
        Box::new(Self { environment, redactor: redactor.clone() })
    }

    fn redacted<T: Serialize + DeserializeOwned>(
        &self,
        shown: Result<T, EnvironmentError>,
    ) -> Result<T, EnvironmentError> {
        match shown {
            Ok(shown) => {
                self.redactor.any(shown).map_err(|error| EnvironmentError::Lost { cause: error.to_string() })
            }
            Err(EnvironmentError::Lost { cause }) => {
                Err(EnvironmentError::Lost { cause: self.redactor.text(&cause) })
            }
            Err(EnvironmentError::Failed { reason }) => {
                Err(EnvironmentError::Failed { reason: self.redactor.text(&reason) })
            }
            Err(other) => Err(other),
        }
    }
}

#[async_trait]
impl Environment for RedactedEnvironment {
    fn spec(&self) -> &EnvironmentSpec {
        self.environment.spec()
    }

    async fn reset(&mut self, seed: u64) -> Result<(), EnvironmentError> {
        let reset = self.environment.reset(seed).await;
        self.redacted(reset)
    }

    fn observe(&self) -> Result<Observation, EnvironmentError> {
        self.redacted(self.environment.observe())
    }

    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError> {
        self.environment.begin(call)
    }

    fn advance(&mut self) -> Result<Progress, EnvironmentError> {
        match self.environment.advance() {
            Ok(Progress::Done(outcome)) => self.redacted(Ok(outcome)).map(Progress::Done),
            Ok(act) => Ok(act),
            Err(error) => self.redacted(Err(error)),
        }
    }

    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError> {
        let stepped = self.environment.step(action).await;
        self.redacted(stepped)
    }

    fn own_name(&self, name: &str) -> Option<&str> {
        self.environment.own_name(name)
    }

    fn permits(&self, action: &Action) -> bool {
        self.environment.permits(action)
    }

    async fn frame(&mut self) -> Option<Frame> {
        // A picture may show a secret, and cannot be changed as a text can.
        if self.redactor.may_be_pictured() { None } else { self.environment.frame().await }
    }

    fn snapshot(&self) -> Option<Snapshot> {
        self.environment.snapshot()
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvironmentError> {
        self.environment.restore(snapshot)
    }

    async fn rejoin(&mut self, past: &EpisodePrefix) -> Result<bool, EnvironmentError> {
        self.environment.rejoin(past).await
    }

    fn practice(&self) -> Option<Box<dyn Environment>> {
        Some(Self::wrap(self.environment.practice()?, &self.redactor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sojourn_tools::{Ending, EndingKind};

    /// Shows a secret wherever a world can show something.
    struct Leaky;

    #[async_trait]
    impl Environment for Leaky {
        fn spec(&self) -> &EnvironmentSpec {
            static SPEC: std::sync::OnceLock<EnvironmentSpec> = std::sync::OnceLock::new();
            let spec = json!({
                "name": "hall", "version": "1", "deterministic": false, "about": "A hall.", "tools": [], "recipes": [],
                "actions": [], "tasks": [], "examples": [], "vitals": [],
            });
            SPEC.get_or_init(|| serde_json::from_value(spec).unwrap())
        }

        async fn reset(&mut self, _: u64) -> Result<(), EnvironmentError> {
            Err(EnvironmentError::Failed { reason: "hunter2-token".into() })
        }

        fn observe(&self) -> Result<Observation, EnvironmentError> {
            Ok(Observation::new("hunter2-token", json!({"t": "hunter2-token"})))
        }

        fn begin(&mut self, _: &ToolCall) -> Result<(), EnvironmentError> {
            Ok(())
        }

        fn advance(&mut self) -> Result<Progress, EnvironmentError> {
            Ok(Progress::Done(sojourn_tools::ToolOutcome::done("hunter2-token")))
        }

        async fn step(&mut self, _: &Action) -> Result<StepOutcome, EnvironmentError> {
            let ended = Some(Ending { kind: EndingKind::Died, cause: "hunter2-token".into() });
            Ok(StepOutcome { state: json!(["hunter2-token"]), reward: 0.0, unlocked: Vec::new(), ended })
        }

        async fn frame(&mut self) -> Option<Frame> {
            Some(Frame { bytes: b"GIF89a".to_vec(), mime: "image/gif".into() })
        }

        fn practice(&self) -> Option<Box<dyn Environment>> {
            Some(Box::new(Self))
        }
    }

    #[tokio::test]
    async fn there_is_a_picture_only_where_no_secret_can_be_in_it() {
        let secrets = |names: &[&str]| {
            Redactor::new(names.iter().map(|name| ((*name).to_owned(), format!("hunter2-{name}"))))
        };
        for (names, pictured) in [(&["KEY"][..], true), (&["KEY", "TOKEN"], false), (&["TOKEN"], false)] {
            // The key of the controller's server is given to no world.
            let redactor = secrets(names).with_unpictured(Some("KEY"));
            let mut world = RedactedEnvironment::wrap(Box::new(Leaky), &redactor);
            assert_eq!(world.frame().await.is_some(), pictured, "{names:?}");
        }
        let mut world = RedactedEnvironment::wrap(Box::new(Leaky), &secrets(&["KEY"]));
        assert!(world.frame().await.is_none(), "the world may know the key");
    }

    #[tokio::test]
    async fn a_program_sees_no_secret_in_the_run_or_in_practice() {
        let redactor = Redactor::new([("TOKEN".to_owned(), "hunter2-token".to_owned())]);
        let run = RedactedEnvironment::wrap(Box::new(Leaky), &redactor);
        let practice = run.practice().unwrap();
        for mut world in [run, practice] {
            let Progress::Done(done) = world.advance().unwrap() else { panic!("it acts") };
            let stepped = world.step(&Action("x".into())).await.unwrap();
            let shown = [
                world.reset(1).await.unwrap_err().to_string(),
                format!("{:?}", world.observe().unwrap()),
                format!("{done:?}"),
                format!("{stepped:?}"),
            ];
            for text in shown {
                assert!(text.contains("TOKEN") && !text.contains("hunter2"), "{text}");
            }
        }
    }
}
