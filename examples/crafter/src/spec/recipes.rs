use crate::game::{Achievement, Item, Material, Move, Placed, collecting, making, placing};
use sojourn_tools::{Ingredient, Recipe};

/// Recipes of the 22 achievements, derived from the game's rules.
pub(super) fn recipes() -> Vec<Recipe> {
    let mut recipes: Vec<Recipe> = Material::ALL.iter().filter_map(|&m| collect(m)).collect();
    recipes.extend(Move::ALL.iter().filter_map(|&action| place(action)));
    recipes.extend(Move::ALL.iter().filter_map(|&action| make(action)));
    recipes.extend([
        encounter(Achievement::EatCow, "cow", "a cow needs several hits; it moves, so go_to(\"cow\") again before every interact()"),
        encounter(
            Achievement::DefeatZombie,
            "zombie",
            "a zombie needs 5 hits bare-handed, fewer with a sword; it moves, so go_to(\"zombie\") again before every \
             interact(); zombies live on grass, more of them in the dark",
        ),
        encounter(
            Achievement::DefeatSkeleton,
            "skeleton",
            "a skeleton needs 3 hits bare-handed, fewer with a sword; it moves, so go_to(\"skeleton\") again before \
             every interact(); skeletons live in dark caves in the stone area and shoot arrows",
        ),
        Recipe {
            nearby: vec!["plant".to_owned()],
            ..encounter(
                Achievement::EatPlant,
                "plant",
                "a planted sapling ripens more than 300 steps later, only while you are less than 18 steps away; cows, \
                 zombies and skeletons next to it destroy it; stay near and wait with noop(50), then interact() with it",
            )
        },
        Recipe {
            task: Achievement::WakeUp.name().to_owned(),
            call: "sleep()".to_owned(),
            note: Some(
                "sleep() works only when energy is below 9; energy drops about 1 per 30 steps, so wait with noop(40) \
                 until observe().energy < 9; you wake up once energy is 9 again, or without success when you are hurt"
                    .to_owned(),
            ),
            ..Recipe::default()
        },
    ]);
    recipes
}

fn ingredient(item: impl std::fmt::Display, count: i32) -> Ingredient {
    Ingredient { item: item.to_string(), count: count.unsigned_abs() }
}

fn collect(material: Material) -> Option<Recipe> {
    let rule = collecting(material)?;
    // Drinking provides nothing to carry.
    let provides = if rule.gives == Item::Drink { vec![] } else { vec![ingredient(rule.gives, 1)] };
    Some(Recipe {
        task: rule.achievement.name().to_owned(),
        call: "interact()".to_owned(),
        target: Some(material.name().to_owned()),
        tools: rule.requires.into_iter().map(|tool| tool.name().to_owned()).collect(),
        provides,
        note: collecting_note(material).map(str::to_owned),
        ..Recipe::default()
    })
}

fn collecting_note(material: Material) -> Option<&'static str> {
    match material {
        Material::Tree => Some("the tree becomes grass, so go_to(\"tree\") again for the next one"),
        Material::Grass => Some("grass gives a sapling 1 time in 10, so repeat many times"),
        Material::Coal => Some("coal is found in the stone area"),
        Material::Iron => Some("iron is found deep in the stone area and near caves"),
        Material::Diamond => Some("diamonds are rare and lie deep in the stone area, near caves and lava"),
        _ => None,
    }
}

fn place(action: Move) -> Option<Recipe> {
    let rule = placing(action)?;
    let (name, provides) = match rule.puts {
        Placed::Plant => (Item::Sapling.name(), vec![ingredient("plant", 1)]),
        // A placed stone is not a carried one.
        Placed::Material(Material::Stone) => (Item::Stone.name(), vec![]),
        Placed::Material(material) => (material.name(), vec![ingredient(material, 1)]),
    };
    let ground: Vec<&str> = rule.onto.iter().map(|m| m.name()).collect();
    Some(Recipe {
        task: rule.achievement.name().to_owned(),
        call: format!("place(\"{name}\")"),
        consumes: vec![ingredient(rule.uses, rule.count)],
        provides,
        note: Some(format!("it goes into a free cell of {} in front of you", ground.join(", "))),
        ..Recipe::default()
    })
}

fn make(action: Move) -> Option<Recipe> {
    let rule = making(action)?;
    Some(Recipe {
        task: rule.achievement.name().to_owned(),
        call: format!("make(\"{}\")", rule.gives),
        consumes: rule.uses.iter().map(|&(item, count)| ingredient(item, count)).collect(),
        nearby: rule.nearby.iter().map(|m| m.name().to_owned()).collect(),
        provides: vec![ingredient(rule.gives, 1)],
        ..Recipe::default()
    })
}

fn encounter(achievement: Achievement, target: &str, note: &str) -> Recipe {
    Recipe {
        task: achievement.name().to_owned(),
        call: "interact()".to_owned(),
        target: Some(target.to_owned()),
        note: Some(note.to_owned()),
        ..Recipe::default()
    }
}
