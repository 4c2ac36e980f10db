//! Each record in one line, for people.

use super::{ControlRecord, Effect, Event, LogRecord, SkillEvent};
use crate::model::{
    ActReport, CandidateTrial, Demonstration, Edit, FinishReason, Milestone, Purpose, Started, StepRecord,
    ToolDecision, as_javascript,
};
use sojourn_controller::PictureTokens;
use sojourn_tools::outside::{quote, terminal::is_unsafe};
use sojourn_tools::{Ending, EndingKind, ToolOutcome};
use std::fmt::Write as _;

impl LogRecord {
    /// The record in one line.
    pub fn summary(&self) -> String {
        unbroken(match self {
            Self::Started(started) => started_line(started),
            Self::Effect(effect) => effect_line(effect),
            Self::Event(event) => event_line(event),
            Self::SkillEvent(event) => skill_line(event),
            Self::ToolDecision(decision) => decision_line(decision),
            Self::ControlRecord(record) => control_line(record),
        })
    }
}

/// The line without line breaks: names of worlds and tools stand in it, and none of them may begin another line.
fn unbroken(line: String) -> String {
    if line.contains(is_unsafe) { quote::one_line(&line) } else { line }
}

fn started_line(started: &Started) -> String {
    format!(
        "{} with {}; {}, {}, seed {}",
        named(&started.environment.name, &started.environment.version),
        started.model.name,
        counted(started.library.all_active().count(), "skill"),
        counted(started.reflexes.len(), "reflex"),
        started.config.seed
    )
}

/// A name with its version, if it has one.
fn named(name: &str, version: &str) -> String {
    format!("{name} {version}").trim_end().to_owned()
}

/// `1 memory`, `2 memories`, `3 reflexes`, `4 steps`.
fn counted(count: impl TryInto<u64>, thing: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    let (stem, ending) = match thing.strip_suffix('y') {
        Some(stem) if count != 1 => (stem, "ies"),
        None if count != 1 && thing.ends_with('x') => (thing, "es"),
        None if count != 1 => (thing, "s"),
        _ => (thing, ""),
    };
    format!("{count} {stem}{ending}")
}

fn control_line(record: &ControlRecord) -> String {
    match record {
        ControlRecord::Resumed { budgets, policy, untrusted, foreign, confined, by } => {
            let mut line = format!("resumed by {}", by.as_deref().unwrap_or("another process"));
            let changes = [
                (budgets.is_some(), ", with other budgets"),
                (policy.is_some(), ", under another policy too"),
                (*untrusted, ", as a run from elsewhere"),
                (*foreign, ", without its reflexes"),
                (*confined, ", its skills without tools of the agent file"),
            ];
            line.extend(changes.iter().filter(|(changed, _)| *changed).map(|(_, words)| *words));
            line
        }
        ControlRecord::Paused { by } => {
            by.as_ref().map_or_else(|| "paused".to_owned(), |by| format!("paused by {by}"))
        }
        ControlRecord::GoalAdded { goal, task, by, .. } => {
            format!("{by} adds the goal \"{}\": {}, reached when {}", short(goal), task.name, task.goal)
        }
        ControlRecord::Forked { forked_from, changes } => {
            let model = changes.model.as_ref().map(|model| format!("; continues with {}", model.name));
            format!(
                "forked from {} after its record {}{}",
                forked_from.run,
                forked_from.seq,
                model.unwrap_or_default()
            )
        }
        ControlRecord::ClockChanged { by_ms } => {
            format!("the clock was set, or this computer slept: {:+.1} s", *by_ms as f64 / 1000.0)
        }
        ControlRecord::FrameTaken { frame } => format!("a picture of the world: {frame}"),
        ControlRecord::TrialCall { call, by } => {
            format!("in a trial: {}, allowed: {by}", as_javascript(call))
        }
        ControlRecord::ToolsChanged { appeared, vanished, notices, unconstrained } => {
            let names: Vec<&str> = appeared.iter().map(|spec| spec.name.as_str()).collect();
            let vanished: Vec<&str> = vanished.iter().map(String::as_str).collect();
            let late: Vec<&str> = unconstrained.keys().map(String::as_str).collect();
            let parts = [
                listed("appeared:", &names),
                listed("vanished:", &vanished),
                listed("arguments checked after the answer:", &late),
                (!notices.is_empty()).then(|| notices.join("; ")),
            ];
            format!("tools {}", parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
        }
    }
}

fn listed(title: &str, names: &[&str]) -> Option<String> {
    if names.is_empty() { None } else { Some(format!("{title} {}", names.join(", "))) }
}

fn decision_line(decision: &ToolDecision) -> String {
    let verdict = if decision.granted { "allowed" } else { "denied" };
    format!("{} {verdict}: {}", decision.tool, decision.by)
}

fn effect_line(effect: &Effect) -> String {
    match effect {
        Effect::StartEpisode { seed } => format!("start an episode in world {seed}"),
        Effect::Recall { query, limit: 0, tools, .. } => {
            format!("pick {} for \"{}\"", counted(tools.unwrap_or_default(), "tool"), short(query))
        }
        Effect::Look {} => "look at the world".to_owned(),
        Effect::CallTool { call, .. } => format!("call {}", as_javascript(call)),
        Effect::Recall { query, limit, lessons, .. } => {
            let what = if *lessons {
                format!("{} like", counted(*limit, "lesson"))
            } else {
                format!("{} about", counted(*limit, "memory"))
            };
            format!("look up {what} \"{}\"", short(query))
        }
        Effect::AskController { purpose, request } => {
            let parts = request.messages.iter().flat_map(|message| &message.parts);
            let texts = parts.filter(|part| part.picture.is_none());
            let characters: usize = texts.map(|part| part.text.chars().count()).sum();
            let pictures = match request.shows().count() {
                0 => String::new(),
                shown => format!(" and {}", counted(shown, "picture")),
            };
            format!(
                "{}{}: a prompt of {characters} characters{pictures}, {} × up to {} tokens",
                purpose_name(*purpose),
                if request.teacher { " (teacher)" } else { "" },
                request.candidates,
                request.max_tokens
            )
        }
        Effect::ObserveStarts { task, seeds } => {
            format!("observe the starts of {} of {task}", counted(seeds.len(), "other episode"))
        }
        Effect::Discover { plan } => {
            format!("find out what can be done, in {}", counted(plan.calls, "call"))
        }
        Effect::Explore { plan } => {
            format!("explore {} of {}", counted(plan.seeds.len(), "episode"), plan.task)
        }
        Effect::TryCandidates { plan } => {
            let candidates = counted(plan.candidates.len(), "candidate");
            format!("try {candidates} for {} in {}", plan.task, counted(plan.worlds, "world"))
        }
        Effect::RetestSkills { skills } => format!("test {} again", counted(skills.len(), "skill")),
        Effect::TryReflexes { plan } => format!(
            "try {} for {} in {}",
            counted(plan.candidates.len(), "candidate"),
            plan.name,
            counted(plan.seeds.len(), "practice episode")
        ),
        Effect::Act { call, max_steps } => format!("{} within {max_steps} steps", as_javascript(call)),
        Effect::ChangeLibrary { change } => format!("library: {}", change.kind()),
        Effect::Remember { memory } => format!("remember: {}", short(&memory.text)),
        Effect::Consolidate { edits } => consolidation_line(edits),
        Effect::CreditMemories { memories, helped } => {
            let verb = if *helped { "helped" } else { "did not help" };
            format!("{} {verb}", counted(memories.len(), "recalled lesson"))
        }
        Effect::ReportMilestone { milestone } => milestone_line(milestone),
        Effect::Finish { reason } => format!("finish: {}", reason_line(reason)),
    }
}

fn consolidation_line(edits: &[Edit]) -> String {
    let texts: Vec<&str> = edits
        .iter()
        .filter_map(|edit| match edit {
            Edit::Add { text, .. } => Some(text.as_str()),
            Edit::Merge { .. } | Edit::Close { .. } => None,
        })
        .collect();
    let merged = edits.iter().filter(|edit| matches!(edit, Edit::Merge { .. })).count();
    let closed = edits.iter().filter(|edit| matches!(edit, Edit::Close { .. })).count();
    let lessons = counted(texts.len(), "lesson");
    format!("{lessons}, {merged} merged, {closed} contradicted: {}", short(&texts.join(" / ")))
}

fn event_line(event: &Event) -> String {
    match event {
        Event::EpisodeStarted { seed, observation } => format!("world {seed}: {}", short(&observation.text)),
        Event::Looked { picture: None, .. } => "the world gave no picture".to_owned(),
        Event::Looked { picture: Some(picture), shown, .. } => {
            let to_whom = if *shown { "shown to the controller" } else { "the controller cannot see" };
            format!("a picture of the world: {picture}; {to_whom}")
        }
        Event::ToolAnswered { outcome, .. } => {
            let verdict = if outcome.ok { "answered" } else { "failed" };
            format!("{verdict}: {}", short(&outcome.to_text()))
        }
        Event::Recalled { memories, tools } => match memories.first() {
            None if !tools.is_empty() => format!("tools: {}", tools.join(", ")),
            Some(best) => format!("{}, the best: {}", counted(memories.len(), "memory"), short(&best.text)),
            None => "no memories".to_owned(),
        },
        Event::ControllerAnswered { reply } => {
            let text = match reply.refusal() {
                Some(reason) => format!("no usable answer: {}", short(reason)),
                None => reply.candidates.first().map(|first| short(&first.text)).unwrap_or_default(),
            };
            format!(
                "{} + {} tokens{} in {:.1} s: {text}",
                reply.usage.prompt_tokens.saturating_sub(reply.usage.cached_tokens),
                reply.usage.completion_tokens,
                picture_tokens(reply.usage.pictures),
                reply.timing.prefill_ms.saturating_add(reply.timing.decode_ms) as f64 / 1000.0
            )
        }
        Event::ControllerFailed { error } => format!("the controller failed: {}", short(error)),
        Event::StartsObserved { seen } => {
            let first = |text: &String| short(text.lines().next().unwrap_or_default());
            seen.iter().map(first).collect::<Vec<_>>().join("; ")
        }
        Event::Explored { demonstrations, programs } => {
            let calls = |one: &Demonstration| {
                let calls = one.steps.iter().map(|step| as_javascript(&step.call));
                calls.collect::<Vec<_>>().join(", ")
            };
            match demonstrations.first() {
                None if programs.is_empty() => "nothing reached the goal".to_owned(),
                // Play keeps programs and no demonstrations.
                None => format!("{} reached the goal in play", counted(programs.len(), "program")),
                Some(first) => format!(
                    "{} reached the goal, {} {}: {}",
                    counted(demonstrations.len(), "episode"),
                    counted(programs.len(), "program"),
                    if programs.len() == 1 { "does" } else { "do" },
                    short(&calls(first))
                ),
            }
        }
        Event::Discovered { beliefs, tasks, .. } => format!(
            "{} after {}: {}",
            counted(tasks.len(), "task"),
            counted(beliefs.calls, "call"),
            short(&tasks.iter().map(|task| task.name.as_str()).collect::<Vec<_>>().join(", "))
        ),
        Event::CandidatesTried { trials } => {
            let passes = trials.iter().map(|trial| match trial.compile_error {
                Some(_) => "does not compile".to_owned(),
                None => format!("{}/{}", trial.report.passes(), trial.report.worlds.len()),
            });
            let line = format!("candidates verified in {}", passes.collect::<Vec<_>>().join(", "));
            let failed = trials.iter().all(|trial| trial.report.passes() == 0);
            match trials.iter().find_map(CandidateTrial::cause).filter(|_| failed) {
                Some(cause) => format!("{line}: {}", short(&cause)),
                None => line,
            }
        }
        Event::SkillsRetested { retests } => {
            let results = || retests.iter().flat_map(|retest| &retest.results);
            let passed = results().filter(|result| result.passed).count();
            let skills = counted(retests.len(), "skill");
            format!("{skills} passed {passed} of {}", counted(results().count(), "case"))
        }
        Event::ReflexesTried { trials } => {
            let gains: Vec<String> = trials
                .iter()
                .map(|trial| match (&trial.compile_error, trial.acts) {
                    (Some(_), _) => "does not compile".to_owned(),
                    (None, false) => "does nothing".to_owned(),
                    (None, true) => {
                        let steps = trial.trial.figures().steps;
                        format!("{:+.0} steps ± {:.0}", steps.with - steps.without, steps.error)
                    }
                })
                .collect();
            format!("episodes with the candidates: {}", gains.join(", "))
        }
        Event::OutOfTime {} => "given up: its time was over".to_owned(),
        Event::Acted { report } => acted_line(report),
    }
}

/// The tokens of pictures, to follow the number of tokens.
fn picture_tokens(pictures: Option<PictureTokens>) -> String {
    match pictures {
        None => String::new(),
        Some(PictureTokens::Counted(tokens)) => format!(" ({tokens} of them for pictures)"),
        Some(PictureTokens::Included) => " (pictures among them)".to_owned(),
        Some(PictureTokens::Unknown) => " (those of pictures unknown)".to_owned(),
    }
}

/// The outcome of a skill's run in the episode, in one line.
pub fn acted_line(report: &ActReport) -> String {
    // Writing to a string cannot fail.
    let mut line = match report.skills.last() {
        Some(skill) => format!("{}: {}", skill.name, counted(report.steps, "step")),
        None => counted(report.steps, "step"),
    };
    if report.reflex_steps > 0 {
        let _ = write!(line, " ({} by reflexes)", report.reflex_steps);
    }
    if !report.unlocked.is_empty() {
        let names: Vec<&str> = report.unlocked.iter().map(|unlocked| unlocked.task.as_str()).collect();
        let _ = write!(line, "; unlocked {}", names.join(", "));
    }
    if let Some(error) = report.error.as_ref().filter(|_| !report.finished()) {
        let error = error.to_string();
        // The end of the episode stops every program, and is told once.
        let is_the_end = |ending: &Ending| error.ends_with(&ending_words(ending));
        if !report.ended.as_ref().is_some_and(is_the_end) {
            let _ = write!(line, "; {}", short(&error));
        }
    }
    if let Some(ending) = &report.ended {
        let _ = write!(line, "; {}", ending_words(ending));
    }
    unbroken(line)
}

/// How an episode ended.
fn ending_words(ending: &Ending) -> String {
    let what = match ending.kind {
        EndingKind::Succeeded if ending.cause == "the goal was reached" => {
            return "the goal is reached".to_owned();
        }
        EndingKind::Succeeded => "the goal is reached",
        EndingKind::Died | EndingKind::TimeUp | EndingKind::Lost => "the episode is over",
    };
    format!("{what}: {}", ending.cause)
}

/// A step in one line, with the changes of the vitals, which only a reader of the records before it knows.
pub fn step_line(step: &StepRecord, vitals: &[String]) -> String {
    let mut line = step.action.0.clone();
    if let Some(reflex) = &step.reflex {
        let _ = write!(line, " by reflex {reflex}");
    }
    for change in vitals {
        let _ = write!(line, ", {change}");
    }
    if !step.unlocked.is_empty() {
        let _ = write!(line, ", unlocked {}", step.unlocked.join(", "));
    }
    if let Some(ending) = &step.ended {
        let _ = write!(line, ", {}", ending_words(ending));
    }
    unbroken(line)
}

/// The end of a call in one line. `reached` is the ending of an episode whose goal was reached during it.
pub fn returned_line(depth: u32, outcome: &ToolOutcome, reached: Option<&Ending>) -> String {
    let indent = indent(depth);
    unbroken(match reached {
        Some(ending) => format!("{indent}done: {}", ending_words(ending)),
        None if outcome.ok => format!("{indent}done: {}", short(&outcome.message)),
        None => format!("{indent}failed: {}", short(&outcome.message)),
    })
}

fn skill_line(event: &SkillEvent) -> String {
    match event {
        SkillEvent::Called { depth, call } => format!("{}{}", indent(*depth), as_javascript(call)),
        SkillEvent::Stepped(step) => step_line(step, &[]),
        SkillEvent::Returned { depth, outcome } => returned_line(*depth, outcome, None),
    }
}

/// A milestone in one line.
pub fn milestone_line(milestone: &Milestone) -> String {
    unbroken(match milestone {
        Milestone::TaskChosen { task, learning: true } => format!("learning {task}"),
        Milestone::TaskChosen { task, learning: false } => format!("doing {task}"),
        Milestone::SkillAdmitted { skill, verified: (passed, tried), steps, rounds } => {
            let how = match rounds {
                0 => "without the model".to_owned(),
                1 => "after 1 round".to_owned(),
                _ => format!("after {rounds} rounds"),
            };
            let steps = format!("{steps:.0}");
            let steps = if steps == "1" { "1 step".to_owned() } else { format!("{steps} steps") };
            format!("learned {skill}: verified in {passed} of {tried} worlds, {steps}, {how}")
        }
        Milestone::ReflexAdmitted { reflex, figures, .. } => format!(
            "learned the reflex {reflex}: practice episodes of {:.0} steps with it, {:.0} ± {:.0} without; {} and {} of {} ended in death",
            figures.steps.with,
            figures.steps.without,
            figures.steps.error,
            figures.deaths_with,
            figures.deaths_without,
            figures.episodes
        ),
        Milestone::ReflexGivenUp { cause } => format!("found no reflex against: {cause}"),
        Milestone::SkillGivenUp { task } => format!("gave {task} up for now"),
        Milestone::SkillDemoted { skill } => format!("{skill} demoted: it must pass trials again"),
        Milestone::SkillMerged { skill, into } => {
            format!("{skill} merged into {into}: both do the same")
        }
        Milestone::SkillRetested { skill, passed } => {
            let cases = counted(*passed, "case");
            format!("{skill} passed {cases} again after a skill that it calls changed")
        }
        Milestone::TaskDone { task, verified, steps } => {
            format!("{task} {} in {}", if *verified { "done" } else { "failed" }, counted(*steps, "step"))
        }
        Milestone::Nudged { what, times } => {
            format!("did {what} {times} times in a row without a change; the controller was told")
        }
        Milestone::NoProgress { quiet_ms, left } => {
            let then = match left {
                Some(task) => format!("{task} is left for another task"),
                None => "the controller was told".to_owned(),
            };
            format!("no progress for {}; {then}", duration(*quiet_ms))
        }
        Milestone::EpisodeEnded { cause, achievements, steps } => {
            let (steps, achievements) = (counted(*steps, "step"), counted(*achievements, "achievement"));
            format!("episode over after {steps} with {achievements}: {cause}")
        }
    })
}

/// Why a run ended, in words.
pub fn reason_line(reason: &FinishReason) -> String {
    match reason {
        FinishReason::Steps => "the step budget is used up".to_owned(),
        FinishReason::Time => "the time budget is used up".to_owned(),
        FinishReason::Tokens => "the token budget is used up".to_owned(),
        FinishReason::NothingNew { episodes } => {
            format!("the agent can do every task, and the last {episodes} episodes brought nothing new")
        }
        FinishReason::Episodes => "all episodes are over".to_owned(),
        FinishReason::ToolCalls => "the budget of tool calls is used up".to_owned(),
        FinishReason::Cost => "the cost budget is used up".to_owned(),
        FinishReason::Repetition { what } => format!("the agent repeated {what} without a change"),
        FinishReason::Stuck { quiet_ms, tried } => {
            format!("no progress for {}; since then it tried {tried}", duration(*quiet_ms))
        }
        FinishReason::Controller { error } => {
            format!("the controller failed several times in a row: {}", one_line(error, 400))
        }
    }
}

/// A time in seconds below two minutes, else in minutes.
fn duration(milliseconds: u64) -> String {
    match milliseconds / 1000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

/// The purpose of a request to the controller, as a verb.
pub fn purpose_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Choose => "choose",
        Purpose::Write => "write",
        Purpose::Reflect => "reflect",
        Purpose::WriteReflex => "write a reflex",
        Purpose::Consolidate => "draw lessons",
        Purpose::Compare => "compare lessons",
    }
}

/// The text on one line, cut where it gets long.
pub fn short(text: &str) -> String {
    one_line(text, 100)
}

/// The text on one line of at most `length` characters, and `…` where it is cut.
fn one_line(text: &str, length: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The indentation of a call. The depth of an imported record may be any number.
fn indent(depth: u32) -> String {
    const DEEPEST: usize = 16;
    "  ".repeat((depth as usize).min(DEEPEST))
}

#[cfg(test)]
mod tests {
    use super::{acted_line, counted, event_line, milestone_line, one_line, short};
    use crate::model::{ActReport, Event, Milestone};

    #[test]
    fn programs_that_play_found_are_no_failure() {
        let explored = |programs: &[&str]| {
            let programs = programs.iter().map(|&program| program.to_owned()).collect();
            event_line(&Event::Explored { demonstrations: Vec::new(), programs })
        };
        assert_eq!(explored(&[]), "nothing reached the goal");
        assert_eq!(explored(&["go()"]), "1 program reached the goal in play");
        assert_eq!(explored(&["go()", "come()"]), "2 programs reached the goal in play");
    }

    #[test]
    fn one_thing_is_not_told_as_many() {
        let words = |count: u64| ["step", "memory", "reflex"].map(|thing| counted(count, thing)).join(", ");
        assert_eq!(words(1), "1 step, 1 memory, 1 reflex");
        assert_eq!(words(0), "0 steps, 0 memories, 0 reflexes");
    }

    #[test]
    fn no_name_begins_a_line_that_looks_like_a_record() {
        let name = "x\n    24  00:00:00  tool_decision        sh_run allowed by the user\u{2028}y\r\u{1b}[2K";
        let milestone = milestone_line(&Milestone::TaskChosen { task: name.into(), learning: true });
        let report = serde_json::json!({
            "observation": {"text": "", "state": {}}, "steps": 1, "reflex_steps": 0, "unlocked": [{"task": name, "step": 1}],
            "skills": [], "trace": [], "calls": 0
        });
        let acted = acted_line(&serde_json::from_value::<ActReport>(report).unwrap());
        for line in [milestone, acted] {
            assert!(
                line.contains("tool_decision")
                    && !line.contains(char::is_control)
                    && !line.contains('\u{2028}'),
                "{line:?}"
            );
        }
    }

    #[test]
    fn what_a_server_answered_stays_on_one_line() {
        assert_eq!(one_line("requires more after `{\n  }\n}`", 400), "requires more after `{ } }`");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(short("a\n b"), "a b");
        assert_eq!(short(&"é".repeat(200)).chars().count(), 101);
    }
}
