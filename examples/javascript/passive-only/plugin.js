// Refuses active mode: PORT and EPRT are answered with 502 and a text.

import { get } from 'waft:plugin/config@0.1.1';

// What clients are told where the operator has written nothing else.
const MESSAGE = 'Command not implemented. (ACTIVE mode is not supported - use PASSIVE instead!)';

export const lifecycle = {
  describe() {
    return {
      name: 'passive-only',
      version: '0.1.0',
      description: 'Refuses active mode, with a text that tells people what to change',
      // No other command is ever shown to this plugin.
      verbs: ['PORT', 'EPRT'],
      site: [],
      features: [],
      events: [],
      extra: [],
    };
  },

  init() {},
};

export const commandFilter = {
  onCommand(session, command) {
    const message = get('message') ?? MESSAGE;
    return { tag: 'answer', val: { code: 502, lines: [message] } };
  },
};
