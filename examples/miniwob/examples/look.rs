//! Prints the observations of tasks, and measures the speed of the driver.
//!
//!     cargo run --release -p sojourn-miniwob --example look -- HTML click-test login-user

#![allow(clippy::print_stdout, reason = "a command-line program")]

use sojourn_miniwob::{list_tasks, open, seed};
use sojourn_tools::{Action, Environment};
use std::path::PathBuf;
use std::time::Instant;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let html = PathBuf::from(words.next().ok_or("give the folder `html` of the package")?);
    let names: Vec<String> = words.collect();
    let tasks = list_tasks(&html)?;
    let mut world = open(&html)?;
    for (position, task) in (0..).zip(&tasks) {
        if !names.is_empty() && !names.contains(&task.name) {
            continue;
        }
        let begun = Instant::now();
        world.reset(seed(tasks.len() as u64, position, 3)).await?;
        println!("== {} ({:.0} ms)", task.name, begun.elapsed().as_secs_f64() * 1e3);
        print!("{}", world.observe()?.text);
    }
    if names.iter().any(|name| name == "click-test") {
        let position = tasks.iter().position(|task| task.name == "click-test").unwrap_or_default() as u64;
        let (mut reset, mut step, begun) = (0.0, 0.0, Instant::now());
        for instance in 0..100 {
            let now = Instant::now();
            world.reset(seed(tasks.len() as u64, position, instance)).await?;
            reset += now.elapsed().as_secs_f64();
            let now = Instant::now();
            let done = world.step(&Action("click(\"Click Me!\")".to_owned())).await?;
            step += now.elapsed().as_secs_f64();
            assert!(done.reward >= 1.0, "{done:?}");
        }
        let all = begun.elapsed().as_secs_f64();
        println!("{:.1} episodes/s; reset {:.1} ms, step {:.1} ms", 100.0 / all, reset * 10.0, step * 10.0);
    }
    Ok(())
}
