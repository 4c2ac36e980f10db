//! The rules of collecting, placing and making, as tables.

use super::names::named_enum;

named_enum! {
    /// Material of a cell.
    pub enum Material {
        Water = "water",
        Grass = "grass",
        Stone = "stone",
        Path = "path",
        Sand = "sand",
        Tree = "tree",
        Lava = "lava",
        Coal = "coal",
        Iron = "iron",
        Diamond = "diamond",
        Table = "table",
        Furnace = "furnace",
    }
}

named_enum! {
    /// Countable properties of the player: four vital signs, then carried items.
    pub enum Item {
        Health = "health",
        Food = "food",
        Drink = "drink",
        Energy = "energy",
        Sapling = "sapling",
        Wood = "wood",
        Stone = "stone",
        Coal = "coal",
        Iron = "iron",
        Diamond = "diamond",
        WoodPickaxe = "wood_pickaxe",
        StonePickaxe = "stone_pickaxe",
        IronPickaxe = "iron_pickaxe",
        WoodSword = "wood_sword",
        StoneSword = "stone_sword",
        IronSword = "iron_sword",
    }
}

named_enum! {
    /// Crafter's achievements, in its order.
    pub enum Achievement {
        CollectCoal = "collect_coal",
        CollectDiamond = "collect_diamond",
        CollectDrink = "collect_drink",
        CollectIron = "collect_iron",
        CollectSapling = "collect_sapling",
        CollectStone = "collect_stone",
        CollectWood = "collect_wood",
        DefeatSkeleton = "defeat_skeleton",
        DefeatZombie = "defeat_zombie",
        EatCow = "eat_cow",
        EatPlant = "eat_plant",
        MakeIronPickaxe = "make_iron_pickaxe",
        MakeIronSword = "make_iron_sword",
        MakeStonePickaxe = "make_stone_pickaxe",
        MakeStoneSword = "make_stone_sword",
        MakeWoodPickaxe = "make_wood_pickaxe",
        MakeWoodSword = "make_wood_sword",
        PlaceFurnace = "place_furnace",
        PlacePlant = "place_plant",
        PlaceStone = "place_stone",
        PlaceTable = "place_table",
        WakeUp = "wake_up",
    }
}

named_enum! {
    /// The 17 actions of the player.
    pub enum Move {
        Noop = "noop",
        Left = "move_left",
        Right = "move_right",
        Up = "move_up",
        Down = "move_down",
        Do = "do",
        Sleep = "sleep",
        PlaceStone = "place_stone",
        PlaceTable = "place_table",
        PlaceFurnace = "place_furnace",
        PlacePlant = "place_plant",
        MakeWoodPickaxe = "make_wood_pickaxe",
        MakeStonePickaxe = "make_stone_pickaxe",
        MakeIronPickaxe = "make_iron_pickaxe",
        MakeWoodSword = "make_wood_sword",
        MakeStoneSword = "make_stone_sword",
        MakeIronSword = "make_iron_sword",
    }
}

/// Limit on the number of one item.
pub const MAX_ITEM: i32 = 9;

/// Materials that the player and creatures can walk on. The player can also step on lava, which is deadly.
pub const WALKABLE: &[Material] = &[Material::Grass, Material::Path, Material::Sand];

/// Materials that arrows can cross.
pub(crate) const FLYABLE: &[Material] =
    &[Material::Grass, Material::Path, Material::Sand, Material::Water, Material::Lava];

/// Rule for hitting a material.
#[derive(Debug, Clone, Copy)]
pub struct Collecting {
    /// Required item.
    pub requires: Option<Item>,
    /// Item gained, one at a time.
    pub gives: Item,
    /// Material that the cell becomes.
    pub leaves: Material,
    /// Probability of gaining the item.
    pub probability: f64,
    /// Achievement earned.
    pub achievement: Achievement,
}

/// Rule for placing something ahead.
#[derive(Debug, Clone, Copy)]
pub struct Placing {
    /// What the cell becomes.
    pub puts: Placed,
    /// Item consumed.
    pub uses: Item,
    /// Number of items consumed.
    pub count: i32,
    /// Materials that the cell may have before.
    pub onto: &'static [Material],
    /// Achievement earned.
    pub achievement: Achievement,
}

/// Kinds of placed things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// The cell changes its material.
    Material(Material),
    /// A plant is put on the cell.
    Plant,
}

/// Rule for crafting a tool.
#[derive(Debug, Clone, Copy)]
pub struct Making {
    /// Tool made.
    pub gives: Item,
    /// Items consumed, with their numbers.
    pub uses: &'static [(Item, i32)],
    /// Materials that must be within one cell, diagonals included.
    pub nearby: &'static [Material],
    /// Achievement earned.
    pub achievement: Achievement,
}

/// The rule for hitting `material`, if there is one.
pub fn collecting(material: Material) -> Option<Collecting> {
    use Achievement as A;
    use Material as M;
    let rule = |requires, gives, leaves, probability, achievement| {
        Some(Collecting { requires, gives, leaves, probability, achievement })
    };
    match material {
        M::Tree => rule(None, Item::Wood, M::Grass, 1.0, A::CollectWood),
        M::Stone => rule(Some(Item::WoodPickaxe), Item::Stone, M::Path, 1.0, A::CollectStone),
        M::Coal => rule(Some(Item::WoodPickaxe), Item::Coal, M::Path, 1.0, A::CollectCoal),
        M::Iron => rule(Some(Item::StonePickaxe), Item::Iron, M::Path, 1.0, A::CollectIron),
        M::Diamond => rule(Some(Item::IronPickaxe), Item::Diamond, M::Path, 1.0, A::CollectDiamond),
        M::Water => rule(None, Item::Drink, M::Water, 1.0, A::CollectDrink),
        M::Grass => rule(None, Item::Sapling, M::Grass, 0.1, A::CollectSapling),
        M::Path | M::Sand | M::Lava | M::Table | M::Furnace => None,
    }
}

/// The rule for `action`, if it places something.
pub fn placing(action: Move) -> Option<Placing> {
    use Achievement as A;
    use Material as M;
    let rule = |puts, uses, count, onto, achievement| Some(Placing { puts, uses, count, onto, achievement });
    match action {
        Move::PlaceStone => rule(
            Placed::Material(M::Stone),
            Item::Stone,
            1,
            &[M::Grass, M::Sand, M::Path, M::Water, M::Lava],
            A::PlaceStone,
        ),
        Move::PlaceTable => {
            rule(Placed::Material(M::Table), Item::Wood, 2, &[M::Grass, M::Sand, M::Path], A::PlaceTable)
        }
        Move::PlaceFurnace => {
            rule(Placed::Material(M::Furnace), Item::Stone, 4, &[M::Grass, M::Sand, M::Path], A::PlaceFurnace)
        }
        Move::PlacePlant => rule(Placed::Plant, Item::Sapling, 1, &[M::Grass], A::PlacePlant),
        _ => None,
    }
}

/// The rule for `action`, if it makes something.
pub fn making(action: Move) -> Option<Making> {
    use Achievement as A;
    use Material::{Furnace, Table};
    const WOOD: &[(Item, i32)] = &[(Item::Wood, 1)];
    const STONE: &[(Item, i32)] = &[(Item::Wood, 1), (Item::Stone, 1)];
    const IRON: &[(Item, i32)] = &[(Item::Wood, 1), (Item::Coal, 1), (Item::Iron, 1)];
    let rule = |gives, uses, nearby, achievement| Some(Making { gives, uses, nearby, achievement });
    match action {
        Move::MakeWoodPickaxe => rule(Item::WoodPickaxe, WOOD, &[Table], A::MakeWoodPickaxe),
        Move::MakeStonePickaxe => rule(Item::StonePickaxe, STONE, &[Table], A::MakeStonePickaxe),
        Move::MakeIronPickaxe => rule(Item::IronPickaxe, IRON, &[Table, Furnace], A::MakeIronPickaxe),
        Move::MakeWoodSword => rule(Item::WoodSword, WOOD, &[Table], A::MakeWoodSword),
        Move::MakeStoneSword => rule(Item::StoneSword, STONE, &[Table], A::MakeStoneSword),
        Move::MakeIronSword => rule(Item::IronSword, IRON, &[Table, Furnace], A::MakeIronSword),
        _ => None,
    }
}
