// PouchDB with every write flushed: LevelDB does that when asked to, and
// PouchDB never asks.

import leveldown from "leveldown"

export function flushed(location) {
  const level = leveldown(location)
  const asked = (options) => ({ ...options, sync: true })
  const { _put, _del, _batch } = level
  level._put = (key, value, options, done) => _put.call(level, key, value, asked(options), done)
  level._del = (key, options, done) => _del.call(level, key, asked(options), done)
  level._batch = (operations, options, done) => _batch.call(level, operations, asked(options), done)
  return level
}
flushed.destroy = leveldown.destroy
