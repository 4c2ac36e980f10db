use crate::game::{Achievement, MAX_ITEM};
use sojourn_primitives::JsonPointer;
use sojourn_tools::{Amount, Condition, Parameter, ParameterKind, TaskSpec};

/// The 22 achievements as tasks.
pub(super) fn tasks() -> Vec<TaskSpec> {
    Achievement::ALL.iter().map(|&achievement| task(achievement)).collect()
}

fn task(achievement: Achievement) -> TaskSpec {
    let item = counted_item(achievement);
    let number = Parameter {
        name: "n".to_owned(),
        kind: ParameterKind::Integer { min: 1, max: MAX_ITEM.into() },
        default: Some(1.into()),
    };
    let goal = match item {
        Some(item) => Condition::Increased {
            path: JsonPointer::of(["inventory", item]),
            by: Amount::Param("n".to_owned()),
            cap: Some(MAX_ITEM.into()),
        },
        None => Condition::Increased {
            path: JsonPointer::of(["achievements", achievement.name()]),
            by: Amount::Literal(1.0),
            cap: None,
        },
    };
    TaskSpec {
        name: achievement.name().to_owned(),
        description: description(achievement).to_owned(),
        parameters: item.map(|_| number).into_iter().collect(),
        goal,
        achievement: true,
        episodes: None,
    }
}

/// The item whose number the task counts, if it counts one.
fn counted_item(achievement: Achievement) -> Option<&'static str> {
    match achievement {
        Achievement::CollectCoal => Some("coal"),
        Achievement::CollectDiamond => Some("diamond"),
        Achievement::CollectIron => Some("iron"),
        Achievement::CollectStone => Some("stone"),
        Achievement::CollectWood => Some("wood"),
        _ => None,
    }
}

fn description(achievement: Achievement) -> &'static str {
    match achievement {
        Achievement::CollectCoal => "collect n more coal",
        Achievement::CollectDiamond => "collect n more diamond",
        Achievement::CollectDrink => "drink water",
        Achievement::CollectIron => "collect n more iron",
        Achievement::CollectSapling => "get a sapling",
        Achievement::CollectStone => "collect n more stone",
        Achievement::CollectWood => "collect n more wood",
        Achievement::DefeatSkeleton => "defeat a skeleton",
        Achievement::DefeatZombie => "defeat a zombie",
        Achievement::EatCow => "kill and eat a cow",
        Achievement::EatPlant => "eat a ripe plant",
        Achievement::MakeIronPickaxe => "make an iron pickaxe",
        Achievement::MakeIronSword => "make an iron sword",
        Achievement::MakeStonePickaxe => "make a stone pickaxe",
        Achievement::MakeStoneSword => "make a stone sword",
        Achievement::MakeWoodPickaxe => "make a wood pickaxe",
        Achievement::MakeWoodSword => "make a wood sword",
        Achievement::PlaceFurnace => "place a furnace",
        Achievement::PlacePlant => "plant a sapling",
        Achievement::PlaceStone => "place a stone",
        Achievement::PlaceTable => "place a table",
        Achievement::WakeUp => "sleep and wake up rested",
    }
}
