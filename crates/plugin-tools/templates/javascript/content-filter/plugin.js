// Refuses uploads without contents.

export const lifecycle = {
  describe() {
    return {
      name: 'no-empty-files',
      version: '0.1.0',
      description: 'Refuses uploads without contents',
      verbs: [],
      site: [],
      features: [],
      events: [],
      extra: [],
    };
  },

  init() {},
};

// What was seen of one upload.
class Filter {
  octets = 0;

  push(chunk) {
    this.octets += chunk.length;
    // Ignored: it is only looked at.
    return new Uint8Array();
  }

  finish() {
    if (this.octets === 0) {
      return { tag: 'refuse', val: { code: 550, lines: ['The file is empty.'] } };
    }
    return { tag: 'accept', val: new Uint8Array() };
  }
}

export const contentFilter = {
  wants(session, direction) {
    return { tag: direction === 'upload' ? 'inspect' : 'skip' };
  },

  Filter,
};
