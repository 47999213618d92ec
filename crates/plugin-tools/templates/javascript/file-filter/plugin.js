// Keeps files that end in ".keep" from being deleted, and hides those that begin with a dot.
// Nothing else that is done to files is ever shown to this plugin.

export const lifecycle = {
  describe() {
    return {
      name: 'keep-files',
      version: '0.1.0',
      description: 'Keeps some files from being deleted, and hides others',
      verbs: [],
      site: [],
      features: [],
      events: [],
      extra: [['file.ops', 'remove']],
    };
  },

  init() {},
};

export const fileFilter = {
  onFile(session, op) {
    if (op.tag === 'remove' && op.val.endsWith('.keep')) {
      return { tag: 'deny', val: { code: 550, lines: ['This file stays.'] } };
    }
    return { tag: 'pass' };
  },

  onList(session, path, entries) {
    const numbers = entries.map(([name], number) => (name.startsWith('.') ? -1 : number));
    return new Uint32Array(numbers.filter((number) => number >= 0));
  },
};
