//! `OpenSimplex` noise in three dimensions, equal in every bit to the Python package `opensimplex`.
//!
//! Space is divided into cubes that are sheared along the diagonal. The value of a point is the sum of
//! contributions of nearby lattice vertices: those of the tetrahedron or octahedron that contains it, and two
//! more. The algorithm is Kurt Spencer's (2014, public domain).

use std::f64;

const STRETCH: f64 = -1.0 / 6.0;
const SQUISH: f64 = 1.0 / 3.0;
const NORM: f64 = 103.0;

/// Directions to the vertices of a rhombicuboctahedron.
const GRADIENTS: [[f64; 3]; 24] = {
    const fn corner(signs: [f64; 3]) -> [[f64; 3]; 3] {
        let [x, y, z] = signs;
        [[11.0 * x, 4.0 * y, 4.0 * z], [4.0 * x, 11.0 * y, 4.0 * z], [4.0 * x, 4.0 * y, 11.0 * z]]
    }
    const CORNERS: [[f64; 3]; 8] = [
        [-1.0, 1.0, 1.0],
        [1.0, 1.0, 1.0],
        [-1.0, -1.0, 1.0],
        [1.0, -1.0, 1.0],
        [-1.0, 1.0, -1.0],
        [1.0, 1.0, -1.0],
        [-1.0, -1.0, -1.0],
        [1.0, -1.0, -1.0],
    ];
    let mut all = [[0.0; 3]; 24];
    let mut i = 0;
    while i < 24 {
        all[i] = corner(CORNERS[i / 3])[i % 3];
        i += 1;
    }
    all
};

/// A lattice vertex, relative to the cube's origin.
type Vertex = [i32; 3];

const ORIGIN: Vertex = [0, 0, 0];
const ONES: [Vertex; 3] = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
const TWOS: [Vertex; 3] = [[1, 1, 0], [1, 0, 1], [0, 1, 1]];
const FAR: Vertex = [1, 1, 1];

/// Seeded noise.
#[derive(Debug, Clone)]
pub(crate) struct Noise {
    permutation: [u8; 256],
}

/// A point within its cube.
struct Cell<'a> {
    noise: &'a Noise,
    base: [i32; 3],
    /// Vector from the cube's origin to the point.
    offset: [f64; 3],
}

impl Noise {
    /// Shuffles the permutation with a 64-bit linear congruential generator.
    pub(crate) fn new(seed: i64) -> Self {
        let next = |s: i64| s.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut state = next(next(next(seed)));
        let mut source: [u8; 256] = std::array::from_fn(|i| i as u8);
        let mut permutation = [0; 256];
        for i in (0..256_usize).rev() {
            state = next(state);
            // Python's sum does not overflow, hence the wider type.
            let pick = (i128::from(state) + 31).rem_euclid(i as i128 + 1) as usize;
            permutation[i] = source[pick];
            source[pick] = source[i];
        }
        Self { permutation }
    }

    /// Noise value of a point, approximately in [−1, 1].
    pub(crate) fn at(&self, point: [f64; 3]) -> f64 {
        let stretch = (point[0] + point[1] + point[2]) * STRETCH;
        let stretched = point.map(|c| c + stretch);
        let base = stretched.map(|c| c.floor() as i32);
        let squish = f64::from(base.iter().sum::<i32>()) * SQUISH;
        let inside: [f64; 3] = std::array::from_fn(|i| stretched[i] - f64::from(base[i]));
        let offset = std::array::from_fn(|i| point[i] - (f64::from(base[i]) + squish));
        let cell = Cell { noise: self, base, offset };

        let sum = inside[0] + inside[1] + inside[2];
        let value = if sum <= 1.0 {
            cell.near_tetrahedron(inside, sum)
        } else if sum >= 2.0 {
            cell.far_tetrahedron(inside, sum)
        } else {
            cell.octahedron(inside)
        };
        value / NORM
    }
}

impl Cell<'_> {
    /// Vector from a vertex to the point.
    fn displacement(&self, vertex: Vertex) -> [f64; 3] {
        let squish = f64::from(vertex.iter().sum::<i32>()) * SQUISH;
        std::array::from_fn(|i| self.offset[i] - f64::from(vertex[i]) - squish)
    }

    fn add(&self, value: &mut f64, vertex: Vertex) {
        self.add_displaced(value, vertex, self.displacement(vertex));
    }

    fn add_displaced(&self, value: &mut f64, vertex: Vertex, [dx, dy, dz]: [f64; 3]) {
        let attenuation = 2.0 - dx * dx - dy * dy - dz * dz;
        if attenuation > 0.0 {
            let squared = attenuation * attenuation;
            let [gx, gy, gz] = self.gradient(vertex);
            *value += squared * squared * (gx * dx + gy * dy + gz * dz);
        }
    }

    fn gradient(&self, vertex: Vertex) -> [f64; 3] {
        let look = |before: u8, i: usize| {
            self.noise.permutation[((i32::from(before) + self.base[i] + vertex[i]) & 0xff) as usize]
        };
        GRADIENTS[usize::from(look(look(look(0, 0), 1), 2)) % 24]
    }

    /// The tetrahedron at the cube's origin. `a` and `b` are bit sets of axes: the two nearest of the three
    /// `ONES`.
    fn near_tetrahedron(&self, inside: [f64; 3], sum: f64) -> f64 {
        let (mut a, mut a_score, mut b, mut b_score) = (1, inside[0], 2, inside[1]);
        if a_score >= b_score && inside[2] > b_score {
            (b, b_score) = (4, inside[2]);
        } else if a_score < b_score && inside[2] > a_score {
            (a, a_score) = (4, inside[2]);
        }
        let origin_score = 1.0 - sum;
        let extras = if origin_score > a_score || origin_score > b_score {
            let nearest = if b_score > a_score { b } else { a };
            // The vertices beyond the nearest one, one step back along each of the other two axes.
            match nearest {
                1 => [[1, -1, 0], [1, 0, -1]],
                2 => [[-1, 1, 0], [0, 1, -1]],
                _ => [[-1, 0, 1], [0, -1, 1]],
            }
        } else {
            match a | b {
                3 => [[1, 1, 0], [1, 1, -1]],
                5 => [[1, 0, 1], [1, -1, 1]],
                _ => [[0, 1, 1], [-1, 1, 1]],
            }
        };
        let mut value = 0.0;
        for vertex in [ORIGIN].into_iter().chain(ONES).chain(extras) {
            self.add(&mut value, vertex);
        }
        value
    }

    /// The tetrahedron at the cube's far corner.
    fn far_tetrahedron(&self, inside: [f64; 3], sum: f64) -> f64 {
        let (mut a, mut a_score, mut b, mut b_score) = (6, inside[0], 5, inside[1]);
        if a_score <= b_score && inside[2] < b_score {
            (b, b_score) = (3, inside[2]);
        } else if a_score > b_score && inside[2] < a_score {
            (a, a_score) = (3, inside[2]);
        }
        let corner_score = 3.0 - sum;
        let extras = if corner_score < a_score || corner_score < b_score {
            match if b_score < a_score { b } else { a } {
                3 => [[2, 1, 0], [1, 2, 0]],
                5 => [[2, 0, 1], [1, 0, 2]],
                _ => [[0, 2, 1], [0, 1, 2]],
            }
        } else {
            match a & b {
                1 => [[1, 0, 0], [2, 0, 0]],
                2 => [[0, 1, 0], [0, 2, 0]],
                _ => [[0, 0, 1], [0, 0, 2]],
            }
        };
        let mut value = 0.0;
        for vertex in TWOS.into_iter().chain([FAR]).chain(extras) {
            self.add(&mut value, vertex);
        }
        value
    }

    /// The octahedron between the two tetrahedra.
    fn octahedron(&self, inside: [f64; 3]) -> f64 {
        // Of each pair of opposite vertices, the nearer one: its bit set, its score, and whether it is on the
        // far side.
        let nearer = |sum: f64, far: u8, near: u8| {
            if sum > 1.0 { (far, sum - 1.0, true) } else { (near, 1.0 - sum, false) }
        };
        let (mut a, a_score, mut a_far) = nearer(inside[0] + inside[1], 3, 4);
        let (mut b, b_score, mut b_far) = nearer(inside[0] + inside[2], 5, 2);
        let (c, score, c_far) = nearer(inside[1] + inside[2], 6, 1);
        if a_score <= b_score && a_score < score {
            (a, a_far) = (c, c_far);
        } else if a_score > b_score && b_score < score {
            (b, b_far) = (c, c_far);
        }

        let mut value = 0.0;
        for vertex in ONES.into_iter().chain(TWOS) {
            self.add(&mut value, vertex);
        }
        match (a_far, b_far) {
            (true, true) => {
                self.add(&mut value, FAR);
                self.add(&mut value, axis(a & b, 2, 0));
            }
            (false, false) => {
                self.add(&mut value, ORIGIN);
                self.add(&mut value, axis(!(a | b), -1, 1));
            }
            (true, false) => self.add_split(&mut value, a, b),
            (false, true) => self.add_split(&mut value, b, a),
        }
        value
    }

    /// The two extra vertices if one of the nearest is on the far side and one on the near side.
    fn add_split(&self, value: &mut f64, far: u8, near: u8) {
        self.add(value, axis(!far, -1, 1));
        // The original subtracts the 2 after the squish here, and before it everywhere else.
        let vertex = axis(near, 2, 0);
        let displacement = std::array::from_fn(|i| self.offset[i] - 2.0 * SQUISH - f64::from(vertex[i]));
        self.add_displaced(value, vertex, displacement);
    }
}

/// The vertex with `special` on the lowest axis of the bit set and `other` on the other two.
fn axis(bits: u8, special: i32, other: i32) -> Vertex {
    let lowest = if bits & 1 != 0 {
        0
    } else if bits & 2 != 0 {
        1
    } else {
        2
    };
    std::array::from_fn(|i| if i == lowest { special } else { other })
}

#[cfg(test)]
mod tests {
    use super::Noise;

    /// Computed by the Python package: `OpenSimplex(seed).noise3(x, y, z)`.
    #[test]
    fn equals_the_python_package() {
        for line in include_str!("noise.tsv").lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let [seed, x, y, z, bits] = fields[..] else { panic!("malformed: {line}") };
            let point = [x, y, z].map(|c| c.parse().unwrap());
            let value = Noise::new(seed.parse().unwrap()).at(point);
            assert_eq!(format!("{:016x}", value.to_bits()), bits, "seed {seed} at {point:?}");
        }
    }
}
