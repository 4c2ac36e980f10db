//! `sojourn-bench crafter`.

use serde_json::json;
use sojourn_cli::agent_file::AgentFile;
use sojourn_cli::home::Home;
use sojourn_cli::session::{LibraryHandle, Models, Plan, RunContext, Watch};
use sojourn_controller::Cancel;
use sojourn_core::{Budgets, RunConfig, Silent};
use sojourn_crafter::CrafterProvider;
use sojourn_testkit::Place;
use sojourn_tools::EnvironmentRegistry;
use std::sync::Arc;

fn place() -> Place {
    Place::new(env!("CARGO_BIN_EXE_sojourn-bench"))
}

/// BALROG publishes 10.4 % for it; 30 episodes have a standard error of about 0.9.
#[test]
fn the_random_policy_gets_as_far_as_is_published() {
    let place = place();
    let args = ["crafter", "--random-policy", "--episodes", "30"];
    let first = place.json(&args);
    let progress = first["progress_percent"].as_f64().unwrap();
    assert!((8.4..=12.4).contains(&progress), "{progress}");
    assert_eq!(first["episodes"], 30);
    assert_eq!(first["per_achievement"].as_object().unwrap().len(), 22);

    let again = place.json(&args);
    assert_eq!(again["per_achievement"], first["per_achievement"], "the same seeds give the same episodes");
}

/// Lets the agent of the place's agent file learn to collect wood.
async fn learn(place: &Place) -> Home {
    let registry = EnvironmentRegistry::new().with(CrafterProvider);
    let home = Home::find(Some(place.path().join("home")), registry.clone()).unwrap();
    let agent = AgentFile::read(&registry, &place.path().join("agent.toml"), &[]).unwrap();
    let models = Models::load(&agent, false).await.unwrap();
    let context = RunContext::open(home.clone(), home.store().await.unwrap()).await.unwrap();
    let world = agent.open_environment(&registry).await.unwrap();
    let budgets = Budgets { steps: Some(60), ..Budgets::default() };
    let plan = Plan {
        config: RunConfig { budgets, ..agent.run },
        reflexes: Vec::new(),
        library: LibraryHandle::OnDisk(Box::new(home.library().await.unwrap())),
        title: None,
        run: None,
    };
    let watch = Watch::unguarded(Arc::new(Silent), Cancel::new());
    let session = Box::pin(context.begin(world, plan, &models, watch)).await.unwrap();
    session.driver.run(session.started_ms).await.unwrap();
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn measuring_uses_the_library_and_leaves_it_as_it_is() {
    let place = place();
    place.write_agent("environment = \"crafter\"", "");
    let home = Box::pin(learn(&place)).await;
    let before = home.read_library().await.unwrap().unwrap().state().clone();
    assert!(before.active("collect_wood").is_some(), "it learned to collect wood");

    let measured = place.json(&["crafter", "--agent", "agent.toml", "--episodes", "2"]);
    assert_eq!((&measured["episodes"], &measured["library_skills"]), (&json!(2), &json!(1)), "{measured}");
    assert!(measured["per_achievement"]["collect_wood"].as_f64().unwrap() > 0.0, "{measured}");

    // Without deliberation nothing is asked, so the model need not even be on this machine.
    place.write("skills.toml", "environment = \"crafter\"\nembedding = \"none\"\n");
    let mut unasked =
        place.command(&["crafter", "--agent", "skills.toml", "--no-deliberation", "--episodes", "2"]);
    let unasked =
        place.answer(&unasked.env("SOJOURN_MODELS", place.path().join("no-models")).output().unwrap());
    assert!(unasked.is_ok() && !unasked.stderr.contains("loading the model"), "{unasked}");
    assert!(unasked.stdout.contains("without deliberation; 1 skill; 2 episodes"), "{unasked}");

    assert_eq!(home.read_library().await.unwrap().unwrap().state(), &before);
    assert_eq!(
        home.store().await.unwrap().runs().await.unwrap().len(),
        1,
        "its runs are in a temporary home"
    );
}
