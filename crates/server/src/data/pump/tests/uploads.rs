//! Client to file.

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::*;

const IMAGE: Upload = Upload { limit: None, encoding: Encoding::Image, inflate: false };
const DEFLATED: Upload = Upload { inflate: true, ..IMAGE };

/// Receives what the client sends before it closes; tells the result and what the file holds.
async fn upload(way: Way, sent: &[u8], options: Upload) -> (Result<(), PumpError>, Vec<u8>, u64) {
    let writer = TestWriter::new(way);
    match way {
        Way::MemoryAndFile => transfer(MemoryStream::pair(), sent, writer, options).await,
        Way::Direct | Way::TcpAndStorage => transfer(tcp_pair().await, sent, writer, options).await,
    }
}

async fn transfer<S: Stream>(
    (server, mut client): (S, impl AsyncRead + AsyncWrite + Unpin),
    sent: &[u8],
    mut writer: TestWriter,
    options: Upload,
) -> (Result<(), PumpError>, Vec<u8>, u64) {
    let progress = Progress::new();
    let sending = async move {
        // An upload that fails may close before everything is sent.
        if client.write_all(sent).await.is_ok() {
            let _ = client.shutdown().await;
            let _ = client.read(&mut [0]).await;
        }
    };
    let receiving = receive(server, &mut writer, options, &progress, STALL);
    let (result, ()) = tokio::join!(receiving, sending);
    let bytes = progress.bytes.load(Ordering::Relaxed);
    if writer.is_local {
        assert!(*writer.largest.lock().unwrap() <= 256 * 1024);
    }
    (result, contents(&writer.file), bytes)
}

#[tokio::test]
async fn files_of_every_size_arrive_unchanged_over_every_way() {
    for way in WAYS {
        for length in [0, 1, 4096, 64 * 1024, 64 * 1024 + 1, 20 * 1024 * 1024 + 17] {
            let data = octets(length);
            let (result, stored, bytes) = upload(way, &data, IMAGE).await;
            result.unwrap();
            assert!(stored == data, "{way:?} {length}");
            assert_eq!(bytes, length as u64);
        }
    }
}

#[tokio::test]
async fn the_direct_way_is_taken_and_begins_at_the_offset() {
    let (server, mut client) = tcp_pair().await;
    let mut writer = TestWriter::new(Way::Direct);
    writer.file.write_all_at(b"0123456789", 0).unwrap();
    writer.offset = 7;
    client.write_all(b"abcdef").await.unwrap();
    drop(client);
    receive(server, &mut writer, IMAGE, &Progress::new(), STALL).await.unwrap();
    assert_eq!(contents(&writer.file), b"0123456abcdef");
    assert_eq!(*writer.largest.lock().unwrap(), 0, "the direct way was not taken");
}

#[tokio::test]
async fn text_and_compression_are_translated_over_every_way() {
    for way in WAYS {
        for length in [0, 1, 3 * 1024 * 1024 + 5] {
            let data = octets(length);
            for (encoding, inflate) in
                [(Encoding::Ascii, false), (Encoding::Image, true), (Encoding::Ascii, true)]
            {
                let sent = if inflate { zlib(&data) } else { data.clone() };
                let options = Upload { limit: None, encoding, inflate };
                let (result, stored, bytes) = upload(way, &sent, options).await;
                result.unwrap();
                let expected = match encoding {
                    Encoding::Image => data.clone(),
                    Encoding::Ascii => crlf_to_lf(&data),
                };
                assert!(stored == expected, "{way:?} {length} {encoding:?} {inflate}");
                assert_eq!(bytes, expected.len() as u64);
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_complete_zlib_stream_is_corrupt() {
    let whole = zlib(&octets(100_000));
    let cut = &whole[..whole.len() - 1];
    let behind = [&whole[..], b"x"].concat();
    let mut wrong_sum = whole.clone();
    *wrong_sum.last_mut().unwrap() ^= 1;
    let without_header = &whole[2..whole.len() - 4];
    for way in WAYS {
        for sent in [b"", cut, &behind, &wrong_sum, without_header, b"garbage, not compressed"] {
            let (result, ..) = upload(way, sent, DEFLATED).await;
            assert!(matches!(result, Err(PumpError::Corrupt)), "{way:?} {result:?}");
        }
    }
}

#[tokio::test]
async fn a_small_stream_that_inflates_to_much_is_written_in_small_pieces() {
    let length = 64 * 1024 * 1024;
    let sent = zlib(&vec![0; length]);
    assert!(sent.len() < 100_000);
    let (result, stored, bytes) = upload(Way::MemoryAndFile, &sent, DEFLATED).await;
    result.unwrap();
    assert_eq!((stored.len(), bytes), (length, length as u64));
}

#[tokio::test]
async fn a_range_takes_what_fits_and_says_when_more_comes() {
    let data = octets(500_000);
    for way in WAYS {
        for (limit, fits) in [(500_000, true), (499_999, false), (0, false)] {
            let options = Upload { limit: Some(limit), ..IMAGE };
            let (result, stored, _) = upload(way, &data, options).await;
            assert!(stored == data[..limit as usize]);
            match result {
                Ok(()) => assert!(fits),
                Err(PumpError::BeyondRange) => assert!(!fits),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_told() {
    for way in WAYS {
        for length in [100, 2 * 1024 * 1024] {
            let mut writer = TestWriter::new(way);
            let full = File::options().write(true).open("/dev/full").unwrap();
            writer.file = Arc::new(full);
            let (server, mut client) = tcp_pair().await;
            let sending = tokio::spawn(async move { client.write_all(&octets(length)).await });
            let progress = Progress::new();
            let result = receive(server, &mut writer, IMAGE, &progress, STALL).await;
            let Err(PumpError::Storage(error)) = result else { panic!("{result:?}") };
            assert_eq!(error.kind(), ErrorKind::NoSpace);
            assert_eq!(progress.bytes.load(Ordering::Relaxed), 0);
            let _ = sending.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_client_that_vanishes_is_a_broken_connection() {
    for way in [Way::Direct, Way::TcpAndStorage] {
        for length in [0, 100, 3 * 1024 * 1024] {
            let (server, mut client) = tcp_pair().await;
            let mut writer = TestWriter::new(way);
            let vanish = async move {
                client.write_all(&octets(length)).await.unwrap();
                client.set_zero_linger().unwrap();
            };
            let progress = Progress::new();
            let receiving = receive(server, &mut writer, IMAGE, &progress, STALL);
            let (result, ()) = tokio::join!(receiving, vanish);
            assert!(matches!(result, Err(PumpError::Network(_))), "{way:?} {length} {result:?}");
        }
    }
    let (server, client) = MemoryStream::pair();
    client.reset();
    let mut writer = TestWriter::new(Way::MemoryAndFile);
    let result = receive(server, &mut writer, IMAGE, &Progress::new(), STALL).await;
    assert!(matches!(result, Err(PumpError::Network(_))), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_no_more_stalls_the_upload() {
    for way in WAYS {
        for length in [0, 100, 60_000] {
            let mut writer = TestWriter::new(way);
            let result = if way == Way::MemoryAndFile {
                let (server, mut client) = MemoryStream::pair();
                client.write_all(&octets(length)).await.unwrap();
                receive(server, &mut writer, IMAGE, &Progress::new(), STALL).await
            } else {
                let (server, mut client) = tcp_pair().await;
                client.write_all(&octets(length)).await.unwrap();
                receive(server, &mut writer, IMAGE, &Progress::new(), STALL).await
            };
            assert!(matches!(result, Err(PumpError::Stalled(STALL))), "{way:?} {result:?}");
        }
    }
}

#[tokio::test]
async fn a_dropped_upload_writes_no_more() {
    // More than the sockets hold: sending it ends only when the connection does.
    let data = octets(1024 * 1024).repeat(64);
    for way in [Way::Direct, Way::TcpAndStorage] {
        for enough in [1000, 70_000, 3 * 1024 * 1024] {
            let (server, mut client) = tcp_pair().await;
            let mut writer = TestWriter::new(way);
            let file = Arc::clone(&writer.file);
            let progress = Progress::new();
            let enough_arrived = async {
                while file.metadata().unwrap().len() < enough {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                () = enough_arrived => {}
                result = receive(server, &mut writer, IMAGE, &progress, STALL) => {
                    panic!("{result:?}")
                }
                sent = client.write_all(&data) => panic!("everything was sent: {sent:?}"),
            }
            let length = file.metadata().unwrap().len();
            let mut end = Vec::new();
            let _ = client.read_to_end(&mut end).await;
            assert!(end.is_empty());
            // A thread that is still at work has to give the file back first.
            while Arc::strong_count(&file) > 2 {
                tokio::task::yield_now().await;
            }
            assert_eq!(file.metadata().unwrap().len(), length, "{way:?} {enough}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_arrives_is_taken_while_the_storage_takes_its_time() {
    let data = octets(200_000);
    let (server, mut client) = MemoryStream::pair();
    let mut writer = TestWriter::new(Way::TcpAndStorage);
    let brake = Arc::clone(&writer.brake);
    let progress = Progress::new();
    let sending = async {
        let held = brake.lock().await;
        client.write_all(&data).await.unwrap();
        drop((client, held));
    };
    let receiving = receive(server, &mut writer, IMAGE, &progress, STALL);
    let ((), result) = tokio::join!(sending, receiving);
    result.unwrap();
    assert!(contents(&writer.file) == data);
}

#[tokio::test]
async fn a_client_that_pauses_is_waited_for() {
    for way in WAYS {
        if way == Way::MemoryAndFile {
            continue;
        }
        let (server, mut client) = tcp_pair().await;
        let mut writer = TestWriter::new(way);
        let progress = Progress::new();
        let data = octets(3 * 1024 * 1024);
        let sending = async {
            let mut sent = 0;
            for piece in [1024 * 1024, 100, 70_000, 1, 1_500_000] {
                client.write_all(&data[sent..sent + piece]).await.unwrap();
                sent += piece;
                while progress.bytes.load(Ordering::Relaxed) < sent as u64 {
                    tokio::task::yield_now().await;
                }
            }
            client.write_all(&data[sent..]).await.unwrap();
            drop(client);
        };
        let receiving = receive(server, &mut writer, IMAGE, &progress, STALL);
        let (result, ()) = tokio::join!(receiving, sending);
        result.unwrap();
        assert!(contents(&writer.file) == data, "{way:?}");
        assert_eq!(progress.bytes.load(Ordering::Relaxed), data.len() as u64);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_cannot_be_spliced_to_is_written() {
    let named = tempfile::NamedTempFile::new().unwrap();
    let mut writer = TestWriter::new(Way::Direct);
    // splice(2) refuses files that are open for appending.
    let appending = File::options().append(true).open(named.path()).unwrap();
    writer.file = Arc::new(appending);
    let data = octets(5 * 1024 * 1024);
    let (server, mut client) = tcp_pair().await;
    let sending = async {
        client.write_all(&data).await.unwrap();
        drop(client);
    };
    let progress = Progress::new();
    let receiving = receive(server, &mut writer, IMAGE, &progress, STALL);
    let (result, ()) = tokio::join!(receiving, sending);
    result.unwrap();
    assert_eq!(progress.bytes.load(Ordering::Relaxed), data.len() as u64);
    assert!(std::fs::read(named.path()).unwrap() == data);
}
