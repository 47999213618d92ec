//! `wasi:config`, `wasi:logging` and `wasi:keyvalue`.

use crate::{Told, reason, unknown};
use bindings::wasi::config::store as config;
use bindings::wasi::keyvalue::store::Bucket;
use bindings::wasi::keyvalue::{atomics, batch, store};
use bindings::wasi::logging::logging;

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package waft:foreigner;
            world foreigner {
                import wasi:config/store@0.2.0-rc.1;
                import wasi:logging/logging@0.1.0-draft;
                import wasi:keyvalue/store@0.2.0-draft;
                import wasi:keyvalue/atomics@0.2.0-draft;
                import wasi:keyvalue/batch@0.2.0-draft;
            }
            package wasi:config@0.2.0-rc.1 {
                interface store {
                    variant error { upstream(string), io(string) }
                    get: func(key: string) -> result<option<string>, error>;
                }
            }
            package wasi:logging@0.1.0-draft {
                interface logging {
                    enum level { trace, debug, info, warn, error, critical }
                    log: func(level: level, context: string, message: string);
                }
            }
            package wasi:keyvalue@0.2.0-draft {
                interface store {
                    variant error { no-such-store, access-denied, other(string) }
                    record key-response { keys: list<string>, cursor: option<u64> }
                    open: func(identifier: string) -> result<bucket, error>;
                    resource bucket {
                        get: func(key: string) -> result<option<list<u8>>, error>;
                        set: func(key: string, value: list<u8>) -> result<_, error>;
                        delete: func(key: string) -> result<_, error>;
                        exists: func(key: string) -> result<bool, error>;
                        list-keys: func(cursor: option<u64>) -> result<key-response, error>;
                    }
                }
                interface atomics {
                    use store.{bucket, error};
                    increment: func(bucket: borrow<bucket>, key: string, delta: u64)
                        -> result<u64, error>;
                }
                interface batch {
                    use store.{bucket, error};
                    get-many: func(bucket: borrow<bucket>, keys: list<string>)
                        -> result<list<option<tuple<string, list<u8>>>>, error>;
                    set-many: func(
                        bucket: borrow<bucket>,
                        key-values: list<tuple<string, list<u8>>>,
                    ) -> result<_, error>;
                    delete-many: func(bucket: borrow<bucket>, keys: list<string>)
                        -> result<_, error>;
                }
            }
        ",
        generate_all,
    });
}

pub(crate) fn configured(words: &[&str]) -> Told {
    let &[key] = words else { return unknown() };
    let value = config::get(key).map_err(reason)?;
    Ok(value.unwrap_or_else(|| "none".to_owned()))
}

pub(crate) fn log(words: &[&str]) -> Told {
    let &[context, text] = words else { return unknown() };
    logging::log(logging::Level::Critical, context, text);
    Ok("logged".to_owned())
}

pub(crate) fn keep(words: &[&str]) -> Told {
    if let ["open", name] = *words {
        return store::open(name).map(|_| "open".to_owned()).map_err(reason);
    }
    let bucket = store::open("").map_err(reason)?;
    match *words {
        ["set", key, value] => bucket.set(key, value.as_bytes()).map(done).map_err(reason),
        ["get", key] => Ok(match bucket.get(key).map_err(reason)? {
            Some(value) => String::from_utf8_lossy(&value).into_owned(),
            None => "none".to_owned(),
        }),
        ["del", key] => bucket.delete(key).map(done).map_err(reason),
        ["has", key] => bucket.exists(key).map(|has| has.to_string()).map_err(reason),
        ["inc", key, number] => {
            let number = number.parse().map_err(reason)?;
            atomics::increment(&bucket, key, number).map(|sum| sum.to_string()).map_err(reason)
        }
        ["list"] => listed(&bucket),
        ["many", key, times] => many(&bucket, key, times.parse().map_err(reason)?),
        _ => unknown(),
    }
}

fn listed(bucket: &Bucket) -> Told {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = bucket.list_keys(cursor).map_err(reason)?;
        all.extend(page.keys);
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok(all.join(","));
        }
    }
}

/// Sets a key and another, gets the first so many times, and deletes the other.
fn many(bucket: &Bucket, key: &str, times: usize) -> Told {
    let entries = [(key.to_owned(), vec![b'v'; 1000]), ("other".to_owned(), Vec::new())];
    batch::set_many(bucket, &entries).map_err(reason)?;
    let found = batch::get_many(bucket, &vec![key.to_owned(); times]).map_err(reason)?;
    batch::delete_many(bucket, &["other".to_owned()]).map_err(reason)?;
    Ok(found.iter().flatten().count().to_string())
}

fn done((): ()) -> String {
    "done".to_owned()
}
