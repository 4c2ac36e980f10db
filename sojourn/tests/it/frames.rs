//! Pictures of a world, from the agent file to a file.

#![allow(clippy::unwrap_used, reason = "what helpers of tests may do is what tests may do")]

use crate::support::{place, sojourn};
use serde_json::Value;
use sojourn_testkit::{answer, serve};

#[test]
fn a_run_keeps_pictures_of_its_world_and_gives_them_back() {
    let place = place();
    let agent = format!(
        "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}/v1\"\n\
         [run]\nframes = \"step\"\nlibrary = false\nmemory = false\n",
        serve(|request| answer(&request.body))
    );
    std::fs::write(place.path().join("agent.toml"), agent).unwrap();
    let said = |args: &[&str]| {
        let output = sojourn(place.path(), args);
        let [told, complained] =
            [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        assert!(output.status.success(), "{args:?}: {told} {complained}");
        told
    };
    let document = |args: &[&str]| -> Value { serde_json::from_str(&said(args)).unwrap() };
    said(&["run", "agent.toml", "--steps", "3", "--json"]);
    let media = document(&["log", "media", "latest", "--json"]);
    let frames = media.as_array().unwrap();
    assert!(frames.len() > 1, "{media}");
    for frame in frames {
        assert_eq!(
            (&frame["source"], &frame["mime"], &frame["width"]),
            (&"crafter".into(), &"image/png".into(), &288.into())
        );
    }
    let handle = frames[0]["handle"].as_str().unwrap();
    assert!(
        said(&["log", "latest"]).contains(&format!("a picture of the world: {handle}, image/png, 288×288"))
    );
    said(&["log", "media", "latest", handle, "--out", "first.png"]);
    assert!(std::fs::read(place.path().join("first.png")).unwrap().starts_with(b"\x89PNG"));
    assert_eq!(document(&["replay", "latest", "--verify", "--json"])["matched"], true);
}
