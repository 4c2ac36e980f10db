//! What the planner computes from Crafter's documented recipes.

use proptest::prelude::*;
use serde_json::{Value, json};
use sojourn_core::Planner;
use sojourn_crafter::CrafterEnvironment;
use sojourn_tools::{Environment, Ingredient, Recipe};

fn planner() -> Planner {
    Planner::new(CrafterEnvironment::new().spec())
}

#[test]
fn totals_add_up_what_the_surroundings_use() {
    for (task, plan) in [
        (
            "make_iron_pickaxe",
            "collect until you have 3 wood (2 for the table, 1 to make it), 4 stone, 1 coal and 1 iron; then place_table(); \
             place_furnace(); make(\"iron_pickaxe\").",
        ),
        ("place_table", "collect until you have 2 wood; then place(\"table\")."),
        (
            "collect_stone",
            "repeat (find a stone and then interact(); look further when there is none) until you have n more stone.",
        ),
        (
            "eat_cow",
            "repeat (find a cow and then interact(); look further when there is none) until \
             observe().achievements.eat_cow has grown.",
        ),
    ] {
        assert_eq!(planner().plan_line(task).as_deref(), Some(plan), "{task}");
    }
}

#[test]
fn tools_come_in_the_order_in_which_they_can_be_made() {
    let nothing = Value::Null;
    let with_wood_pickaxe = json!({"inventory": {"wood_pickaxe": 1}});
    for (task, state, tools) in [
        ("collect_wood", &nothing, vec![]),
        ("collect_stone", &nothing, vec!["make_wood_pickaxe"]),
        ("collect_stone", &with_wood_pickaxe, vec![]),
        ("make_stone_pickaxe", &nothing, vec!["make_wood_pickaxe"]),
        ("collect_diamond", &nothing, vec!["make_wood_pickaxe", "make_stone_pickaxe", "make_iron_pickaxe"]),
        ("collect_iron", &with_wood_pickaxe, vec!["make_stone_pickaxe"]),
    ] {
        assert_eq!(planner().missing_tools(task, state), tools, "{task}");
    }
}

#[test]
fn a_long_chain_of_recipes_does_not_exhaust_the_stack() {
    const LINKS: usize = 20_000;
    let one = |item: String| -> Vec<Ingredient> {
        vec![serde_json::from_value(json!({"item": item, "count": 1})).unwrap()]
    };
    let chain = |needs: &dyn Fn(&mut Recipe, String)| {
        let mut spec = CrafterEnvironment::new().spec().clone();
        let recipe = spec.recipes[0].clone();
        spec.recipes = (0..=LINKS)
            .map(|n| {
                let mut link = Recipe {
                    task: format!("t{n}"),
                    provides: one(format!("i{n}")),
                    consumes: Vec::new(),
                    tools: Vec::new(),
                    nearby: Vec::new(),
                    ..recipe.clone()
                };
                // The last link needs the first: a circle.
                needs(&mut link, format!("i{}", (n + 1) % (LINKS + 1)));
                link
            })
            .collect();
        Planner::new(&spec)
    };
    let tools = chain(&|recipe, item| recipe.tools = vec![item]);
    let needed = tools.missing_tools("t0", &Value::Null);
    assert_eq!((needed[0].as_str(), needed.len()), (format!("t{LINKS}").as_str(), LINKS));
    let closure = tools.closure("t0");
    assert_eq!((closure[0].as_str(), closure.len()), (format!("t{LINKS}").as_str(), LINKS));
    let ingredients = chain(&|recipe, item| recipe.consumes = one(item));
    assert!(ingredients.missing_tools("t0", &Value::Null).is_empty());
    assert_eq!(ingredients.closure("t0").len(), LINKS);
}

#[test]
fn a_thing_that_is_needed_to_make_itself_is_not_made_first() {
    let mut spec = CrafterEnvironment::new().spec().clone();
    let wheel: Vec<Ingredient> = vec![serde_json::from_value(json!({"item": "wheel", "count": 1})).unwrap()];
    spec.recipes = vec![Recipe {
        task: "turn".to_owned(),
        provides: wheel.clone(),
        consumes: wheel,
        tools: vec!["wheel".to_owned()],
        nearby: vec!["wheel".to_owned()],
        ..spec.recipes[0].clone()
    }];
    let planner = Planner::new(&spec);
    assert!(planner.missing_tools("turn", &Value::Null).is_empty() && planner.closure("turn").is_empty());
}

#[test]
fn a_task_comes_after_everything_that_it_rests_on() {
    let planner = planner();
    for task in planner.tasks() {
        let closure = planner.closure(&task.name);
        for (position, name) in closure.iter().enumerate() {
            let later = &closure[position..];
            assert!(planner.prerequisites(name).iter().all(|p| !later.contains(p)), "{name} in {closure:?}");
        }
    }
}

fn part(item: &str, count: u32) -> Ingredient {
    serde_json::from_value(json!({"item": item, "count": count})).unwrap()
}

/// What comes of a recipe, what it uses up, what must be nearby.
type Made<'a> = (&'a str, &'a [(&'a str, u32)], &'a [&'a str]);

/// A world with these recipes.
fn workshop(recipes: &[Made<'_>]) -> Planner {
    let mut spec = CrafterEnvironment::new().spec().clone();
    let recipes = recipes.iter().map(|(makes, consumes, nearby)| Recipe {
        task: format!("make_{makes}"),
        call: format!("make(\"{makes}\")"),
        consumes: consumes.iter().map(|(item, count)| part(item, *count)).collect(),
        nearby: nearby.iter().map(|&thing| thing.to_owned()).collect(),
        provides: vec![part(makes, 1)],
        ..Recipe::default()
    });
    spec.recipes = recipes.collect();
    spec.tasks = spec
        .recipes
        .iter()
        .map(|recipe| sojourn_tools::TaskSpec { name: recipe.task.clone(), ..spec.tasks[0].clone() })
        .collect();
    Planner::new(&spec)
}

#[test]
fn what_uses_up_another_item_is_collected_before_it() {
    let planner = workshop(&[
        ("board", &[], &[]),
        ("pole", &[("board", 2)], &[]),
        ("loom", &[("board", 4)], &[]),
        ("loom_that_stands", &[("loom", 1)], &[]),
        ("oar", &[("board", 3), ("pole", 2)], &["loom_that_stands"]),
    ]);
    let requirements = planner.requirements("make_oar").unwrap();
    assert!(requirements.contains("2 pole and 3 board in the inventory"), "{requirements}");
    assert_eq!(
        planner.plan_line("make_oar").unwrap(),
        "collect until you have 1 loom, 2 pole and 3 board; then make_loom_that_stands(); make(\"oar\")."
    );
}

proptest! {
    #[test]
    fn no_plan_collects_an_item_before_what_uses_it_up(
        uses in prop::collection::vec(prop::collection::vec(any::<bool>(), 6), 6),
        order in Just((0..6).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        const NAMES: [&str; 6] = ["i0", "i1", "i2", "i3", "i4", "i5"];
        // Each item is made of some of the later ones, so nothing is made of itself.
        let made_of = |item: usize| (item + 1..6).filter(|&part| uses[item][part]).collect::<Vec<_>>();
        let parts: Vec<Vec<(&str, u32)>> =
            (0..6).map(|item| made_of(item).into_iter().map(|part| (NAMES[part], 1)).collect()).collect();
        let all: Vec<(&str, u32)> = order.iter().map(|&item| (NAMES[item], 1)).collect();
        let mut recipes: Vec<Made<'_>> =
            (0..6).map(|item| (NAMES[item], parts[item].as_slice(), &[] as &[&str])).collect();
        recipes.push(("all", &all, &[]));
        let totals = workshop(&recipes).totals("make_all");
        let place = |item: usize| totals.iter().position(|total| total.item == NAMES[item]).unwrap();
        prop_assert_eq!(totals.len(), 6);
        for item in 0..6 {
            for part in made_of(item) {
                prop_assert!(place(item) < place(part), "{:?}", totals);
            }
        }
    }
}
