//! Connected components of a mask.

/// A connected set of pixels. All bounds are inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) left: usize,
    pub(crate) top: usize,
    pub(crate) right: usize,
    pub(crate) bottom: usize,
    /// Number of pixels.
    pub(crate) pixels: usize,
}

/// The components of the set pixels of a mask in rows of `width`, neighbours by side or corner, in the order of their first pixel.
/// The mask is cleared.
pub(crate) fn components(mask: &mut [bool], width: usize) -> Vec<Component> {
    let height = mask.len().checked_div(width).unwrap_or(0);
    let (mut found, mut stack) = (Vec::new(), Vec::new());
    for start in 0..mask.len() {
        if !mask[start] {
            continue;
        }
        let (x, y) = (start % width, start / width);
        let mut component = Component { left: x, top: y, right: x, bottom: y, pixels: 0 };
        mask[start] = false;
        stack.push((x, y));
        while let Some((x, y)) = stack.pop() {
            component.left = component.left.min(x);
            component.right = component.right.max(x);
            component.top = component.top.min(y);
            component.bottom = component.bottom.max(y);
            component.pixels += 1;
            for near_y in y.saturating_sub(1)..=(y + 1).min(height - 1) {
                for near_x in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                    let near = near_y * width + near_x;
                    if mask[near] {
                        mask[near] = false;
                        stack.push((near_x, near_y));
                    }
                }
            }
        }
        found.push(component);
    }
    found
}
