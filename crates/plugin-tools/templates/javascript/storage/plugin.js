// A storage with one file in it, to be read.

const NAME = 'hello.txt';
const TEXT = new TextEncoder().encode('Hello.\n');

export const lifecycle = {
  describe() {
    return {
      name: 'hello-storage',
      version: '0.1.0',
      description: 'Has one file, to be read',
      verbs: [],
      site: [],
      features: [],
      events: [],
      extra: [],
    };
  },

  init() {},
};

function stat(kind, size) {
  return { kind, size: BigInt(size), extra: [] };
}

function notFound() {
  return { code: 'not-found', message: `there is only ${NAME}` };
}

function readOnly() {
  return { code: 'denied', message: 'it can only be read' };
}

// What was read of the file.
class Reader {
  constructor(offset) {
    this.offset = offset;
  }

  read(max) {
    const piece = TEXT.slice(this.offset, this.offset + max);
    this.offset += piece.length;
    return piece;
  }
}

// There is none: writing fails where it begins.
class Writer {
  write() {
    throw readOnly();
  }

  finish() {
    throw readOnly();
  }
}

export const storage = {
  // What is not named here is never asked for.
  getAbilities() {
    return {};
  },

  stat(session, path) {
    if (path === '/') return stat('directory', 0);
    if (path === `/${NAME}`) return stat('file', TEXT.length);
    throw notFound();
  },

  listDir(session, path) {
    if (path !== '/') throw notFound();
    return { entries: [[NAME, stat('file', TEXT.length)]] };
  },

  openRead(session, path, offset) {
    if (path !== `/${NAME}`) throw notFound();
    return new Reader(Number(offset));
  },

  openWrite() {
    throw readOnly();
  },

  makeDir() {
    throw readOnly();
  },

  removeDir() {
    throw readOnly();
  },

  removeFile() {
    throw readOnly();
  },

  rename() {
    throw readOnly();
  },

  setModified() {
    throw readOnly();
  },

  freeSpace() {
    throw readOnly();
  },

  Reader,
  Writer,
};
