//! Figures about Crafter that others have published, quoted for comparison and never measured here.

use sojourn_cli::{output, table};
use std::io;

/// Agent, progress in percent, Crafter's score in percent.
const ROWS: [(&str, &str, &str); 17] = [
    ("human", "63.2", "50.5"),
    ("Grok-4", "57.3", "29.6"),
    ("Gemini-2.5-Pro", "55.0", "35.2"),
    ("GPT-4o", "33.1", "–"),
    ("Claude-3.5-Sonnet", "32.7", "11.0"),
    ("Llama-3.1-8B", "25.5", "5.0"),
    ("Llama-3.2-3B", "17.3", "3.2"),
    ("Qwen2.5-7B", "16.4", "3.7"),
    ("Llama-3.2-1B", "12.7", "2.1"),
    ("random", "10.4", "1.6"),
    ("SPRING (GPT-4 and the paper's text)", "–", "27.3"),
    ("Reflexion (GPT-4)", "–", "11.7"),
    ("ReAct (GPT-4)", "–", "8.3"),
    ("Curious Replay (trained)", "–", "19.4"),
    ("PPO with a ResNet (trained)", "–", "15.6"),
    ("DreamerV3 (trained)", "–", "14.5"),
    ("PPO (trained)", "–", "4.6"),
];

/// Prints the published table under a heading that says what it is.
///
/// # Errors
/// When stdout cannot be written.
pub fn print() -> io::Result<()> {
    output::line("\nPublished by others, quoted for comparison; nothing below was measured here.")?;
    output::line(
        "Progress by BALROG's protocol (arXiv 2411.13543): zero-shot, one model call a step, at most 2000",
    )?;
    output::line("steps, 10 episodes. Scores also from the papers of Crafter (arXiv 2109.06780) and SPRING")?;
    output::line("(arXiv 2305.15486). An agent that learned before is not in the same position as these.")?;
    let mut table = table::new(["published", "progress %", "score %"]);
    table::numbers(&mut table, [1, 2]);
    for (who, progress, score) in ROWS {
        table.add_row([who, progress, score]);
    }
    table::print(&table)
}
