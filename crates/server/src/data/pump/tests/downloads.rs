//! File to client.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;

/// What is asked for.
#[derive(Clone, Copy)]
struct Options {
    limit: Option<u64>,
    encoding: Encoding,
    deflate: Option<u32>,
}

const IMAGE: Options = Options { limit: None, encoding: Encoding::Image, deflate: None };

/// Sends, and closes if all was sent; tells the result and what the client got.
async fn download(
    way: Way,
    reader: TestReader,
    options: Options,
) -> (Result<(), PumpError>, Vec<u8>, u64) {
    match way {
        Way::MemoryAndFile => transfer(MemoryStream::pair(), reader, options).await,
        Way::Direct | Way::TcpAndStorage => transfer(tcp_pair().await, reader, options).await,
    }
}

async fn transfer<S: Stream>(
    (server, client): (S, impl AsyncRead + Unpin + Send + 'static),
    mut reader: TestReader,
    options: Options,
) -> (Result<(), PumpError>, Vec<u8>, u64) {
    let received = receive_all(client);
    let progress = Progress::new();
    let download = options.of(&mut reader);
    let result = send(server, download, &progress, STALL).await;
    let bytes = progress.bytes.load(Ordering::Relaxed);
    (result, received.await.unwrap(), bytes)
}

impl Options {
    fn of(self, reader: &mut TestReader) -> Download<'_> {
        let Options { limit, encoding, deflate } = self;
        Download { reader, limit, encoding, deflate }
    }
}

fn receive_all(mut client: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<Vec<u8>> {
    tokio::spawn(async move {
        let mut received = Vec::new();
        let _ = client.read_to_end(&mut received).await;
        received
    })
}

#[tokio::test]
async fn files_of_every_size_arrive_unchanged_over_every_way() {
    for way in WAYS {
        for length in [0, 1, 4096, 64 * 1024, 5 * 1024 * 1024 + 17] {
            let data = octets(length);
            let reader = TestReader::new(way, &data);
            let reads = reader.reads.subscribe();
            let (result, received, bytes) = download(way, reader, IMAGE).await;
            result.unwrap();
            assert!(received == data, "{way:?} {length}");
            assert_eq!(bytes, length as u64);
            if way == Way::Direct {
                assert_eq!(*reads.borrow(), 0, "the direct way was not taken");
            }
        }
    }
}

#[tokio::test]
async fn text_and_compression_are_translated_over_every_way() {
    for way in WAYS {
        for length in [0, 1, 3 * 1024 * 1024 + 5] {
            let data = octets(length);
            for (encoding, deflate) in [
                (Encoding::Ascii, None),
                (Encoding::Image, Some(6)),
                (Encoding::Ascii, Some(1)),
                (Encoding::Image, Some(9)),
            ] {
                let options = Options { limit: None, encoding, deflate };
                let (result, received, bytes) =
                    download(way, TestReader::new(way, &data), options).await;
                result.unwrap();
                let text = if deflate.is_some() { unzlib(&received) } else { received };
                let expected = match encoding {
                    Encoding::Image => data.clone(),
                    Encoding::Ascii => lf_to_crlf(&data),
                };
                assert!(text == expected, "{way:?} {length} {encoding:?} {deflate:?}");
                assert_eq!(bytes, length as u64);
            }
        }
    }
}

#[tokio::test]
async fn a_range_ends_where_it_says_and_a_file_where_it_ends() {
    let data = octets(300_000);
    for way in WAYS {
        for (offset, limit) in [(0, 0), (0, 1), (100_000, 150_000), (299_999, 1), (299_999, 9)] {
            let mut reader = TestReader::new(way, &data);
            reader.offset = offset;
            reader.size = Some(data.len() as u64 - offset);
            let options = Options { limit: Some(limit), ..IMAGE };
            let (result, received, _) = download(way, reader, options).await;
            result.unwrap();
            let expected = data[offset as usize..].iter().take(limit as usize);
            assert!(received.iter().eq(expected), "{way:?} {offset} {limit}");
        }
    }
}

#[tokio::test]
async fn a_file_of_unknown_size_is_sent_to_its_end() {
    let data = octets(300_000);
    for way in WAYS {
        let mut reader = TestReader::new(way, &data);
        reader.size = None;
        let (result, received, _) = download(way, reader, IMAGE).await;
        result.unwrap();
        assert!(received == data);
    }
}

#[tokio::test]
async fn a_file_that_grows_is_sent_as_it_was_when_it_was_opened() {
    let data = octets(300_000);
    for way in WAYS {
        let mut reader = TestReader::new(way, &data);
        reader.size = Some(200_000);
        let (result, received, _) = download(way, reader, IMAGE).await;
        result.unwrap();
        assert!(received == data[..200_000]);
    }
}

#[tokio::test]
async fn a_file_that_became_shorter_is_not_taken_for_complete() {
    for way in WAYS {
        let mut reader = TestReader::new(way, &octets(1000));
        reader.size = Some(1001);
        let (result, received, _) = download(way, reader, IMAGE).await;
        let Err(PumpError::Storage(error)) = result else { panic!("{result:?}") };
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(received.len() <= 1000);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn files_that_the_system_cannot_send_by_itself_are_read() {
    // A file of /proc: no page cache, no sendfile, and a size that says nothing.
    let mut reader = TestReader::new(Way::Direct, b"");
    reader.file = Arc::new(File::open("/proc/self/status").unwrap());
    reader.size = None;
    let (result, received, _) = download(Way::Direct, reader, IMAGE).await;
    result.unwrap();
    assert!(received.starts_with(b"Name:"));
}

#[tokio::test]
async fn what_the_client_sent_unasked_does_not_destroy_the_download() {
    let data = octets(100_000);
    for way in [Way::Direct, Way::TcpAndStorage] {
        let (server, mut client) = tcp_pair().await;
        client.write_all(b"unasked").await.unwrap();
        let mut reader = TestReader::new(way, &data);
        let progress = Progress::new();
        let reading = async {
            // Only when the server has nothing left to do but to end the connection.
            while progress.bytes.load(Ordering::Relaxed) < data.len() as u64 {
                tokio::task::yield_now().await;
            }
            let mut received = Vec::new();
            client.read_to_end(&mut received).await.unwrap();
            drop(client);
            received
        };
        let sending = send(server, IMAGE.of(&mut reader), &progress, STALL);
        let (result, received) = tokio::join!(sending, reading);
        result.unwrap();
        assert!(received == data);
    }
}

#[tokio::test]
async fn a_client_that_vanishes_is_a_broken_connection() {
    for way in [Way::Direct, Way::TcpAndStorage] {
        let (server, mut client) = tcp_pair().await;
        let mut reader = TestReader::new(way, &octets(32 * 1024 * 1024));
        let vanish = async move {
            client.read_exact(&mut [0; 1000]).await.unwrap();
            client.set_zero_linger().unwrap();
        };
        let progress = Progress::new();
        let sending = send(server, IMAGE.of(&mut reader), &progress, STALL);
        let (result, ()) = tokio::join!(sending, vanish);
        assert!(matches!(result, Err(PumpError::Network(_))), "{result:?}");
    }
    let (server, client) = MemoryStream::pair();
    let mut reader = TestReader::new(Way::MemoryAndFile, &octets(1024 * 1024));
    client.reset();
    let result = send(server, IMAGE.of(&mut reader), &Progress::new(), STALL).await;
    assert!(matches!(result, Err(PumpError::Network(_))), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_stalls_the_download() {
    for way in WAYS {
        let mut reader = TestReader::new(way, &octets(32 * 1024 * 1024));
        let progress = Progress::new();
        let download = IMAGE.of(&mut reader);
        let result = if way == Way::MemoryAndFile {
            let (server, _client) = MemoryStream::pair();
            send(server, download, &progress, STALL).await
        } else {
            let (server, _client) = tcp_pair().await;
            send(server, download, &progress, STALL).await
        };
        assert!(matches!(result, Err(PumpError::Stalled(STALL))), "{way:?} {result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_is_waited_for_as_long_as_anything_moves() {
    let data = octets(200_000);
    let (server, mut client) = MemoryStream::pair();
    let mut reader = TestReader::new(Way::MemoryAndFile, &data);
    let progress = Progress::new();
    let sending = async {
        send(server, IMAGE.of(&mut reader), &progress, STALL).await.unwrap();
    };
    let reading = async {
        let mut received = Vec::new();
        loop {
            tokio::time::sleep(STALL - Duration::from_millis(10)).await;
            let mut piece = [0; 10_000];
            match client.read(&mut piece).await.unwrap() {
                0 => return received,
                length => received.extend_from_slice(&piece[..length]),
            }
        }
    };
    let ((), received) = tokio::join!(sending, reading);
    assert!(received == data);
}

#[tokio::test]
async fn a_client_that_pauses_gets_every_octet_once() {
    let data = octets(32 * 1024 * 1024 + 17);
    let (server, client) = tcp_pair().await;
    let mut reader = TestReader::new(Way::Direct, &data);
    let progress = Progress::new();
    let sending = async {
        send(server, IMAGE.of(&mut reader), &progress, STALL).await.unwrap();
    };
    let reading = async {
        // Nothing is reported before the server is tired of waiting.
        while progress.bytes.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        receive_all(client).await.unwrap()
    };
    let ((), received) = tokio::join!(sending, reading);
    assert!(received == data);
}

#[tokio::test(start_paused = true)]
async fn the_next_piece_is_read_while_the_client_takes_its_time() {
    let data = octets(1024 * 1024);
    let (server, client) = MemoryStream::pair();
    let mut reader = TestReader { size: None, ..TestReader::new(Way::TcpAndStorage, &data) };
    let mut reads = reader.reads.subscribe();
    let progress = Progress::new();
    let sending = async {
        send(server, IMAGE.of(&mut reader), &progress, STALL).await.unwrap();
    };
    let reading = async {
        reads.wait_for(|reads| *reads >= 2).await.unwrap();
        receive_all(client).await.unwrap()
    };
    assert!(tokio::join!(sending, reading).1 == data);
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_a_download_waits_for_ever() {
    let (server, mut client) = MemoryStream::pair();
    let data = octets(100_000);
    let mut reader = TestReader::new(Way::MemoryAndFile, &data);
    let progress = Progress::new();
    let sending = send(server, IMAGE.of(&mut reader), &progress, Duration::ZERO);
    let reading = async {
        tokio::time::sleep(Duration::from_secs(1_000_000)).await;
        client.read_exact(&mut vec![0; data.len()]).await.unwrap();
    };
    tokio::join!(sending, reading).0.unwrap();
}

#[tokio::test]
async fn a_dropped_download_ends_the_connection() {
    for way in [Way::Direct, Way::TcpAndStorage] {
        let (server, mut client) = tcp_pair().await;
        let mut reader = TestReader::new(way, &octets(32 * 1024 * 1024));
        let progress = Progress::new();
        let mut first = [0; 5000];
        tokio::select! {
            result = send(server, IMAGE.of(&mut reader), &progress, STALL) => {
                panic!("{result:?}")
            }
            read = client.read_exact(&mut first) => { read.unwrap(); }
        }
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest).await;
        assert!(rest.len() < 32 * 1024 * 1024 - 5000);
    }
}

#[tokio::test]
async fn a_fast_download_lets_other_tasks_run() {
    for way in WAYS {
        let other = tokio::spawn(async {
            let mut turns = 0_u32;
            loop {
                turns += 1;
                tokio::task::yield_now().await;
                if turns == 30 {
                    return;
                }
            }
        });
        let (result, ..) =
            download(way, TestReader::new(way, &octets(16 * 1024 * 1024)), IMAGE).await;
        result.unwrap();
        assert!(other.is_finished(), "{way:?}");
    }
}
