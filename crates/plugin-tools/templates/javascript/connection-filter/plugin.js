// Keeps clients from one network out, before they are greeted.

// How addresses of the network begin.
const NETWORK = '203.0.113.';

export const lifecycle = {
  describe() {
    return {
      name: 'not-from-there',
      version: '0.1.0',
      description: 'Keeps clients from one network out',
      verbs: [],
      site: [],
      features: [],
      events: [],
      extra: [],
    };
  },

  init() {},
};

export const connectionFilter = {
  onConnect(session) {
    if (session.remoteIp().startsWith(NETWORK)) {
      return { tag: 'reject', val: { code: 421, lines: ['Not from there.'] } };
    }
    return { tag: 'pass' };
  },
};
