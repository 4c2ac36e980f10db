'use strict';
// The world's description of itself.

const documents = require('./documents');
const actions = require('./actions');
const { VERSION } = require('./server');
const { Knowledge } = require('./rules/knowledge');

const CONTROLS = 'observe().inventory counts what you carry. observe().seen says where the nearest block of each kind is, null if none is '
  + 'within 32 blocks. Actions walk by themselves; they return false when they fail.';

/** The description for `describe`. */
function describe({ server, undocumented }) {
  const knowledge = new Knowledge(require('prismarine-registry')(VERSION));
  const about = server
    ? 'Minecraft, on a server. The skills control the player, who gathers, crafts, smelts, builds, hunts and eats.'
    : 'A small world of Minecraft with simplified rules of survival. The skills control the player, who gathers, crafts, smelts, hunts and eats.';
  return {
    name: 'minecraft', version: '1', deterministic: !server, frames: true, about, controls: CONTROLS, vitals: ['/health'], actions: actions.describe(),
    wording: documents.WORDING,
    ...(undocumented ? {} : { tasks: documents.tasks(), recipes: documents.recipes(knowledge), examples: documents.EXAMPLES }),
  };
}

module.exports = { describe };
