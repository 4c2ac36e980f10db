// Keeps the player alive between two actions: swims up before the breath ends, eats when hungry, runs when weak.
function stay_alive(state) {
  if (state.in_water && state.breath < 8) return "surface";
  const danger = state.creatures.some((one) => one.hostile && one.distance < 8);
  if (danger && state.health <= 8) return "flee";
  const foods = ["cooked_beef", "cooked_porkchop", "cooked_mutton", "cooked_chicken", "apple", "beef", "porkchop", "mutton"];
  if (!danger && state.food <= 14 && foods.some((food) => state.inventory[food] > 0)) return "eat";
  return null;
}
