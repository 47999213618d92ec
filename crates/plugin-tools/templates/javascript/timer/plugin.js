// Logs a line every minute.

import { emit } from 'waft:plugin/log@0.1.1';

export const lifecycle = {
  describe() {
    return {
      name: 'every-minute',
      version: '0.1.0',
      description: 'Logs a line every minute',
      verbs: [],
      site: [],
      features: [],
      events: [],
      extra: [['timer.minute', '60s']],
    };
  },

  init() {},
};

export const timer = {
  onTimer(name) {
    emit('info', 'the time has come', [['timer', name]]);
  },
};
