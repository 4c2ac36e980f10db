// Strikes at a zombie or skeleton next to the player: turns to it, then hits.
function fight(state) {
  if (state.sleeping) return null;
  for (const { kind, dx, dy } of state.creatures) {
    if (kind !== "zombie" && kind !== "skeleton") continue;
    if (Math.abs(dx) + Math.abs(dy) !== 1) continue;
    if (dx === -1) return state.direction === "west" ? "do" : "move_left";
    if (dx === 1) return state.direction === "east" ? "do" : "move_right";
    if (dy === -1) return state.direction === "north" ? "do" : "move_up";
    return state.direction === "south" ? "do" : "move_down";
  }
  return null;
}
