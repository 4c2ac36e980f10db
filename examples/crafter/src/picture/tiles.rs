//! Tiles as rows of letters, one for each dot; `.` is blank.

use crate::game::{Item, Kind, Material};

/// Dots of a tile's side.
pub(super) const TILE: usize = 8;

/// Rows of letters of [`LETTERS`].
pub(super) type Tile = [[u8; TILE]; TILE];

/// The letters of the colours, in the order of [`PALETTE`].
const LETTERS: &[u8] = b"kWbBgGsSpPyYDdnmroKiIwcfuZz";
pub(super) const BLACK: u8 = 0;
pub(super) const WHITE: u8 = 1;

/// Red, green and blue of each colour.
pub(super) const PALETTE: [[u8; 3]; 27] = [
    [20, 20, 24],
    [245, 245, 240],
    [52, 101, 186],
    [104, 152, 222],
    [104, 159, 56],
    [130, 180, 80],
    [92, 96, 104],
    [130, 134, 142],
    [150, 128, 100],
    [126, 106, 82],
    [226, 206, 140],
    [206, 184, 116],
    [34, 102, 44],
    [58, 132, 64],
    [110, 72, 38],
    [170, 118, 66],
    [206, 52, 36],
    [246, 150, 46],
    [36, 36, 40],
    [214, 170, 140],
    [240, 206, 180],
    [236, 240, 244],
    [110, 222, 236],
    [240, 196, 160],
    [44, 84, 160],
    [76, 140, 76],
    [44, 60, 120],
];

/// The digits 0 to 9: five rows of three bits.
pub(super) const DIGITS: [[u8; 5]; 10] = [
    [7, 5, 5, 5, 7],
    [2, 6, 2, 2, 7],
    [7, 1, 7, 4, 7],
    [7, 1, 7, 1, 7],
    [5, 5, 7, 1, 1],
    [7, 4, 7, 1, 7],
    [7, 4, 7, 5, 7],
    [7, 1, 2, 2, 2],
    [7, 5, 7, 5, 7],
    [7, 5, 7, 1, 7],
];

/// The colour of a letter; `None` where nothing is drawn.
pub(super) fn colour(letter: u8) -> Option<u8> {
    LETTERS.iter().position(|known| *known == letter).and_then(|index| u8::try_from(index).ok())
}

const fn tile(rows: &[u8; TILE * (TILE + 1) - 1]) -> Tile {
    let (mut tile, mut at) = ([[b'.'; TILE]; TILE], 0);
    while at < TILE * TILE {
        // Each row is followed by a space.
        tile[at / TILE][at % TILE] = rows[at / TILE * (TILE + 1) + at % TILE];
        at += 1;
    }
    tile
}

/// A cell's material.
pub(super) const fn ground(material: Material) -> Tile {
    tile(match material {
        Material::Water => b"bbbbbbbb bBBbbbbb bbbbbBBb bbbbbbbb bbBBbbbb bbbbbbbb bbbbbBBb BBbbbbbb",
        Material::Grass => b"gggggggg gGgggggg ggggggGg gggggggg gggGgggg gggggggg gGggggGg gggggggg",
        Material::Stone => b"ssssssss sSSSsSSs sSSSsSSs ssssssss SSsSSSsS SSsSSSsS ssssssss sSSSsSSs",
        Material::Path => b"pppppppp ppPppppp pppppppp pppppPpp pppppppp pPpppppp pppppppp ppppPppp",
        Material::Sand => b"yyyyyyyy yyYyyyyy yyyyyyyy yyyyyyYy yYyyyyyy yyyyyyyy yyyyYyyy yyyyyyyy",
        Material::Tree => b"ggDDDDgg gDdDDdDg DDDdDDDD DdDDDDdD gDDdDDDg ggDnnDgg gggnnggg gggnnggg",
        Material::Lava => b"rrrrrrrr rooorrrr rrrrrroo rrooorrr rrrrrrrr roorrroo rrrrorrr oorrrrrr",
        Material::Coal => b"ssssssss sSKKsSSs sKKKsSSs sKKsssss SSsSSKKS SSsSKKKS ssssKKss sSSSsSSs",
        Material::Iron => b"ssssssss sSiisSSs siIisSSs siisssss SSsSSiiS SSsSiIiS ssssiiss sSSSsSSs",
        Material::Diamond => b"ssssssss sSwwsSSs swcwsSSs swwsssss SSsSSwwS SSsSwcwS sssswwss sSSSsSSs",
        Material::Table => b"gggggggg nnnnnnnn nmmnmmnn nmmnmmnn nnnnnnnn gnggggng gnggggng gnggggng",
        Material::Furnace => b"KKKKKKKK KSSSSSSK KSSSSSSK KKKKKKKK KKrorrKK KKoyyoKK KKryorKK KKKKKKKK",
    })
}

/// What stands on a cell.
pub(super) const fn object(kind: Kind, asleep: bool) -> Tile {
    tile(match kind {
        Kind::Player if asleep => b"........ ........ ........ .nnf.... .nffuuuu .nffuuuu ........ ........",
        Kind::Player => b"........ ..nnnn.. ..ffff.. ..ffff.. .uuuuuu. .fuuuuf. ..uuuu.. ..k..k..",
        Kind::Cow => b"........ .w....w. .wwwwww. .KwwwwK. .wwwwww. .wfffww. ..wwww.. ..k..k..",
        Kind::Zombie { .. } => b"..ZZZZ.. ..ZrZr.. ..ZZZZ.. ZZzzzzZZ Z.zzzz.Z ..zzzz.. ..z..z.. ..k..k..",
        Kind::Skeleton { .. } => b"..wwww.. ..wKwK.. ..wwww.. ...ww... .wwwwww. ...ww... ..w..w.. ..w..w..",
        Kind::Arrow { .. } => b"........ ........ ...nn... ..nwwn.. ..nwwn.. ...nn... ........ ........",
        Kind::Plant { .. } if kind.is_ripe() => {
            b"...DD... ..DrDr.. .DDDDDD. .rDDrDD. ..DDDD.. ...nn... ...nn... ..nnnn.."
        }
        Kind::Plant { .. } => b"........ ........ ...D.D.. ....D... ...DDD.. ....n... ...nnn.. ........",
    })
}

/// A vital sign or a carried item.
pub(super) const fn item(item: Item) -> Tile {
    tile(match item {
        Item::Health => b".rr.rr.. rrrrrrr. rrrrrrr. .rrrrr.. ..rrr... ...r.... ........ ........",
        Item::Food => b"...nn... ..nmmn.. .nmmmmn. .nmmmn.. ..nnn... .w...... w.w..... ........",
        Item::Drink => b"...b.... ...b.... ..bBb... .bbBbb.. .bbbbb.. ..bbb... ........ ........",
        Item::Energy => b"...yy... ..yy.... .yyyy... ...yy... ..yy.... ..y..... ........ ........",
        Item::Sapling => b"..D..D.. ...DD... .D.D.... ..DDD... ...D.... ..nnn... ........ ........",
        Item::Wood => b"........ nnnnnn.. mmmmmn.. nnnnnn.. .nnnnnn. .mmmmmn. .nnnnnn. ........",
        Item::Stone => b"........ ..sss... .sSSSs.. sSSSSSs. sSSSSs.. .ssss... ........ ........",
        Item::Coal => b"........ ..KKK... .KSKKK.. KKKKKKK. KKKSKK.. .KKKK... ........ ........",
        Item::Iron => b"........ ..iii... .iIIii.. iIIiiii. iiiIii.. .iiii... ........ ........",
        Item::Diamond => b"........ ..www... .wcccw.. wcccccw. .wcccw.. ..wcw... ...w.... ........",
        Item::WoodPickaxe => b".mmmm... mm..mm.. m...n.m. ...n.... ..n..... .n...... n....... ........",
        Item::StonePickaxe => b".ssss... ss..ss.. s...n.s. ...n.... ..n..... .n...... n....... ........",
        Item::IronPickaxe => b".iiii... ii..ii.. i...n.i. ...n.... ..n..... .n...... n....... ........",
        Item::WoodSword => b"......m. .....mm. ....mm.. n..mm... .nmm.... .nn..... n..n.... ........",
        Item::StoneSword => b"......s. .....ss. ....ss.. n..ss... .nss.... .nn..... n..n.... ........",
        Item::IronSword => b"......i. .....ii. ....ii.. n..ii... .nii.... .nn..... n..n.... ........",
    })
}
