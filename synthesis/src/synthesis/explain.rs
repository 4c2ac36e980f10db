//! Candidate programs that do what was demonstrated.
//!
//! A few calls reached the goal in a few worlds. What differs from world to world is explained by the goal of each world: an
//! argument becomes an expression that yields the argument in every one of them. The expressions to try are general (a text in
//! quotation marks, an element that the goal mentions, the third of a kind) and know no task; whether a program is any good is
//! decided by running it in other worlds. This is programming by demonstration, after Gulwani, "Automating string processing in
//! spreadsheets using input-output examples" (POPL 2011), with a much smaller language.

use super::program::{Argument, SearchOver, Step};
use super::segments::{Form, IndexedCall, Segment, Segmentation, appeared};
use super::selector::Selector;
use super::text::{Given, TextExpression};
use super::values::{Values, View};
use serde_json::Value;
use sojourn_tools::{ArgumentSource, EnvironmentSpec, ExplorationSpec};
use std::collections::BTreeMap;

/// Expressions for one argument, at most.
const EXPRESSIONS: usize = 8;
/// Explanations of one step, at most.
const EXPLANATIONS: usize = 12;
/// Combinations that are compared before the best are taken, at most.
const COMBINATIONS: usize = 512;

/// Explains demonstrations, as far as the values are known.
pub(super) struct Explainer<'a> {
    pub environment: &'a EnvironmentSpec,
    pub spec: &'a ExplorationSpec,
    pub values: &'a Values,
    /// The arguments of the programs.
    pub given: &'a [Given],
}

/// The tools of segments, and the form of each.
type Shape<'a> = Vec<(&'a str, Form<'a>)>;

impl Explainer<'_> {
    pub(super) fn view<'a>(&'a self, seen: IndexedCall<'a>) -> View<'a> {
        View { spec: self.spec, state: seen.state, index: seen.index, values: self.values, given: self.given }
    }

    /// At most `most` programs for these demonstrations, the best explanations first.
    pub(super) fn programs(&self, demonstrations: &[Vec<IndexedCall<'_>>], most: usize) -> Vec<Vec<Step>> {
        let segmentations = [Segmentation::Plain, Segmentation::Loops, Segmentation::Search];
        let each: Vec<Vec<Vec<Step>>> = segmentations
            .iter()
            .map(|segmentation| self.programs_by(demonstrations, *segmentation))
            .collect();
        // The best of every segmentation, then the second best of every segmentation.
        let longest = each.iter().map(Vec::len).max().unwrap_or(0);
        let mut programs: Vec<Vec<Step>> = Vec::new();
        for rank in 0..longest {
            for program in each.iter().filter_map(|programs| programs.get(rank)) {
                if programs.len() < most && !programs.contains(program) {
                    programs.push(program.clone());
                }
            }
        }
        programs
    }

    /// Programs for demonstrations taken apart in one way. A segmentation other than the plain one yields only what that one
    /// does not.
    fn programs_by(
        &self,
        demonstrations: &[Vec<IndexedCall<'_>>],
        segmentation: Segmentation,
    ) -> Vec<Vec<Step>> {
        // Demonstrations of the same shape are explained together, the most frequent shape first.
        let mut by_shape: BTreeMap<Shape<'_>, Vec<Vec<Segment<'_>>>> = BTreeMap::new();
        for steps in demonstrations {
            let segments = self.segments(steps, segmentation);
            let shape: Shape<'_> =
                segments.iter().map(|part| (part.steps[0].call.name.as_str(), part.form)).collect();
            let plain = shape.iter().all(|(_, form)| *form == Form::Call);
            if !shape.is_empty() && plain == (segmentation == Segmentation::Plain) {
                by_shape.entry(shape).or_default().push(segments);
            }
        }
        let mut groups: Vec<Vec<Vec<Segment<'_>>>> = by_shape.into_values().collect();
        groups.sort_by_key(|group| (std::cmp::Reverse(group.len()), group[0].len()));
        let (mut together, mut alone) = (Vec::new(), Vec::new());
        for group in groups {
            let all: Vec<&[Segment<'_>]> = group.iter().map(Vec::as_slice).collect();
            let programs = self.explain(&all);
            // One of them may have been luck: then each is explained by itself.
            if programs.is_empty() && all.len() > 1 && !self.values.is_missing_any() {
                alone.extend(all.iter().flat_map(|one| self.explain(&[one])));
            }
            together.extend(programs);
        }
        together.append(&mut alone);
        together
    }

    /// Programs that do what was done in every demonstration of `group`, the best first.
    fn explain(&self, group: &[&[Segment<'_>]]) -> Vec<Vec<Step>> {
        let mut parts: Vec<Vec<Step>> = Vec::new();
        for at in 0..group[0].len() {
            let same: Vec<&Segment<'_>> = group.iter().map(|parts| &parts[at]).collect();
            let steps = match same[0].form {
                Form::Call => self.calls(&same),
                Form::ForEach(kind) => self.loops(&same, kind),
                Form::ForEachOption => self.option_loops(&same),
                Form::Search(kind) => self.searches(&same, kind),
            };
            if steps.is_empty() {
                return Vec::new();
            }
            parts.push(steps);
        }
        let choices: Vec<usize> = parts.iter().map(Vec::len).collect();
        let program =
            |taken: Vec<usize>| parts.iter().zip(taken).map(|(steps, at)| steps[at].clone()).collect();
        combinations(&choices).into_iter().map(program).collect()
    }

    fn calls(&self, same: &[&Segment<'_>]) -> Vec<Step> {
        let seen: Vec<IndexedCall<'_>> = same.iter().map(|part| part.steps[0]).collect();
        let Some(arguments) = self.arguments(&seen) else { return Vec::new() };
        let choices: Vec<usize> = arguments.iter().map(Vec::len).collect();
        let step = |taken: Vec<usize>| Step::Call {
            tool: seen[0].call.name.clone(),
            args: arguments.iter().zip(taken).map(|(options, at)| options[at].clone()).collect(),
        };
        combinations(&choices).into_iter().take(EXPLANATIONS).map(step).collect()
    }

    fn loops(&self, same: &[&Segment<'_>], kind: &str) -> Vec<Step> {
        let mut common = self.selections(same[0].steps, kind);
        for part in &same[1..] {
            let here = self.selections(part.steps, kind);
            common.retain(|selection| here.contains(selection));
        }
        let tool = &same[0].steps[0].call.name;
        common.into_iter().map(|selection| Step::ForEach { tool: tool.clone(), selection }).collect()
    }

    fn option_loops(&self, same: &[&Segment<'_>]) -> Vec<Step> {
        let mut fields = self.looped_lists(same[0].steps);
        for part in &same[1..] {
            let here = self.looped_lists(part.steps);
            fields.retain(|field| here.contains(field));
        }
        let first: Vec<IndexedCall<'_>> = same.iter().map(|part| part.steps[0]).collect();
        let mut steps = Vec::new();
        for element in self.targets(&first).into_iter().take(2) {
            for field in &fields {
                let tool = first[0].call.name.clone();
                steps.push(Step::ForEachOption { tool, element: element.clone(), field: field.clone() });
            }
        }
        steps
    }

    fn searches(&self, same: &[&Segment<'_>], kind: &str) -> Vec<Step> {
        let Some(then) = same.iter().map(|part| part.then).collect::<Option<Vec<_>>>() else {
            return Vec::new();
        };
        // What the search is for: the target of the next call first, then an element that appeared, rather one that the goal
        // mentions.
        let mut until = self.targets(&then);
        until.retain(Selector::depends_on_goal);
        let view = self.view(then[0]);
        let mut new = appeared(same[0].steps[0].state, then[0].state);
        new.sort_by_key(|(place, _)| !view.is_mentioned(*place));
        for (_, id) in new.into_iter().take(2) {
            let others = self.selectors(&then[..1], &[&Value::from(id)]);
            until.extend(others.into_iter().filter(Selector::depends_on_goal).take(2));
        }
        // It must have been missing at every call, and be there after the last.
        until.retain(|selector| {
            same.iter().zip(&then).all(|(part, then)| {
                let missing = |step: &IndexedCall<'_>| self.view(*step).find(selector).is_none();
                part.steps.iter().all(missing) && self.view(*then).find(selector).is_some()
            })
        });
        let first: Vec<IndexedCall<'_>> = same.iter().map(|part| part.steps[0]).collect();
        let repeated = self.targets(&first).into_iter().take(4).find(|selector| {
            let finds = |step: &IndexedCall<'_>| self.view(*step).find(selector) == step.target();
            same.iter().all(|part| part.steps.iter().all(finds))
        });
        let tool = &first[0].call.name;
        let overs =
            std::iter::once(SearchOver::Kind(kind.to_owned())).chain(repeated.map(SearchOver::Repeated));
        let mut steps = Vec::new();
        for over in overs {
            for until in until.iter().take(4) {
                steps.push(Step::Search { tool: tool.clone(), over: over.clone(), until: until.clone() });
            }
        }
        steps
    }

    /// Selectors for the first arguments of these calls.
    fn targets(&self, seen: &[IndexedCall<'_>]) -> Vec<Selector> {
        let ids: Vec<&Value> = seen.iter().filter_map(IndexedCall::target).collect();
        if ids.len() == seen.len() { self.selectors(seen, &ids) } else { Vec::new() }
    }

    /// Selectors that find the elements with these ids, one in each state, the most specific first.
    fn selectors(&self, seen: &[IndexedCall<'_>], ids: &[&Value]) -> Vec<Selector> {
        let Some(place) = seen[0].state.position(ids[0]) else { return Vec::new() };
        let finding = |with_kind: bool| {
            let all = Selector::all(self.view(seen[0]), place, with_kind).into_iter();
            all.filter(|selector| {
                seen.iter().zip(ids).all(|(step, id)| self.view(*step).find(selector) == Some(*id))
            })
        };
        let mut selectors: Vec<Selector> = finding(true).collect();
        // Where the kinds differ, only selectors without a kind are left.
        let others = if selectors.is_empty() { EXPRESSIONS } else { 2 };
        selectors.truncate(EXPRESSIONS - 2);
        selectors.extend(finding(false).take(others));
        selectors
    }

    /// For each argument of a call the expressions that yield it in all states, the most specific first; none where an argument
    /// has no expression.
    fn arguments(&self, seen: &[IndexedCall<'_>]) -> Option<Vec<Vec<Argument>>> {
        let name = &seen[0].call.name;
        let tool = self.environment.tools.iter().find(|tool| tool.name == *name)?;
        let mut all = Vec::new();
        let mut element_argument = "";
        for (position, parameter) in tool.parameters.iter().enumerate() {
            let given: Vec<Option<&Value>> =
                seen.iter().map(|step| step.call.args.get(&parameter.name)).collect();
            if given.iter().all(Option::is_none) {
                break;
            }
            let given = given.into_iter().collect::<Option<Vec<&Value>>>()?;
            // The same tool may have several templates: the values that were given decide which of them was used.
            let templates = self.spec.actions.iter().filter(|action| action.tool == tool.name);
            let sources: Vec<&ArgumentSource> =
                templates.filter_map(|action| action.args.get(position)).collect();
            let is_element = sources.iter().any(|source| matches!(source, ArgumentSource::Element(_)))
                && seen.iter().zip(&given).all(|(step, id)| step.state.element(id).is_some());
            let is_varied = sources.iter().any(|source| !matches!(source, ArgumentSource::OneOf(_)));
            let texts = given.iter().map(|value| value.as_str()).collect::<Option<Vec<&str>>>();
            let mut options: Vec<Argument> = match texts {
                _ if is_element => {
                    element_argument = &parameter.name;
                    self.selectors(seen, &given).into_iter().map(Argument::Element).collect()
                }
                Some(texts) if is_varied => self.texts(seen, &texts, &sources, element_argument),
                _ if given.iter().all(|value| *value == given[0]) => vec![Argument::Fixed(given[0].clone())],
                _ => return None,
            };
            options.truncate(EXPRESSIONS);
            if options.is_empty() {
                return None;
            }
            all.push(options);
        }
        Some(all)
    }

    /// Expressions that yield these texts, one in each state.
    fn texts(
        &self,
        seen: &[IndexedCall<'_>],
        texts: &[&str],
        sources: &[&ArgumentSource],
        element_argument: &str,
    ) -> Vec<Argument> {
        let yields = |text: &TextExpression| {
            seen.iter().zip(texts).all(|(step, wanted)| self.view(*step).text(text) == Some(*wanted))
        };
        let all = TextExpression::all(self.view(seen[0]), texts[0]).into_iter();
        let mut options: Vec<Argument> = all.filter(yields).map(Argument::Text).collect();
        for source in sources {
            let ArgumentSource::OptionOf(field) = source else { continue };
            let is_first = seen.iter().zip(texts).all(|(step, wanted)| {
                let element = step.call.args.get(element_argument).and_then(|id| step.state.element(id));
                element.and_then(|element| self.view(*step).first_option(element, field)) == Some(*wanted)
            });
            if is_first {
                options.insert(0, Argument::OptionOf(field.clone()));
            }
        }
        options
    }
}

/// The option that each part takes: the best of all parts first, then the combinations with the least sum of ranks.
fn combinations(choices: &[usize]) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = vec![Vec::new()];
    for &options in choices {
        let longer = |taken: &Vec<usize>| {
            let taken = taken.clone();
            (0..options).map(move |option| taken.iter().copied().chain([option]).collect())
        };
        all = all.iter().flat_map(longer).collect();
        all.sort_by_key(|taken: &Vec<usize>| taken.iter().sum::<usize>());
        all.truncate(COMBINATIONS);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_every_argument_comes_first() {
        assert_eq!(combinations(&[2, 2]), [[0, 0], [0, 1], [1, 0], [1, 1]]);
        assert!(combinations(&[3; 12]).len() <= COMBINATIONS);
        assert_eq!(combinations(&[]), [Vec::<usize>::new()]);
    }
}
