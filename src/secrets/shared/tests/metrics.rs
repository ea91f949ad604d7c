//! What the metrics tell of shared reads.

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::*;

/// The samples that are not zero, without those of durations.
fn samples(reads: &SharedReads) -> Vec<String> {
    let (mut registry, mut text) = (Registry::default(), String::new());
    reads.metrics().register(&mut registry);
    encode(&mut text, &registry).unwrap();
    let told =
        |line: &&str| !line.starts_with('#') && !line.ends_with(" 0") && !line.contains("duration");
    let mut samples: Vec<String> = text.lines().filter(told).map(str::to_owned).collect();
    samples.sort();
    samples
}

#[tokio::test(start_paused = true)]
async fn each_read_is_counted_once_with_the_requests_that_shared_it() {
    let mut world = World::new(64);
    let first = world.ask("a");
    let call = world.call().await;
    let others: Vec<_> = (0..3).map(|_| world.ask("a")).collect();
    call.end("old");
    assert_eq!(first.await, ok("old"));
    world.call().await.fail(ReadError::NotFound);
    join_all(others).await;
    assert_eq!(
        samples(&world.reads),
        [
            r#"secret_read_requests_bucket{le="+Inf"} 2"#,
            r#"secret_read_requests_bucket{le="1.0"} 1"#,
            r#"secret_read_requests_bucket{le="128.0"} 2"#,
            r#"secret_read_requests_bucket{le="16.0"} 2"#,
            r#"secret_read_requests_bucket{le="2.0"} 1"#,
            r#"secret_read_requests_bucket{le="256.0"} 2"#,
            r#"secret_read_requests_bucket{le="32.0"} 2"#,
            r#"secret_read_requests_bucket{le="4.0"} 2"#,
            r#"secret_read_requests_bucket{le="512.0"} 2"#,
            r#"secret_read_requests_bucket{le="64.0"} 2"#,
            r#"secret_read_requests_bucket{le="8.0"} 2"#,
            "secret_read_requests_count 2",
            "secret_read_requests_sum 4.0",
            r#"secret_reads_total{secret="value",outcome="not-found"} 1"#,
            r#"secret_reads_total{secret="value",outcome="ok"} 1"#,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn each_outcome_has_its_series_and_the_token_its_own() {
    let mut world = World::new(1);
    for error in [
        ReadError::Forbidden,
        ReadError::InvalidData,
        ReadError::DuplicateManifest,
        ReadError::UnreadableManifest,
        ReadError::Unavailable { reason: "for a test", retry_after: None },
    ] {
        let request = world.ask("token");
        world.call().await.fail(error);
        request.await.unwrap_err();
    }
    // Two that hang, one after the other, and one whose time is up before the second has ended.
    let hung = world.ask("token");
    let _first = world.call().await;
    sleep(ms(1000)).await;
    let next = world.ask("token");
    sleep(ms(1000)).await;
    let (hung, next, last) = tokio::join!(hung, next, world.ask("a"));
    assert_eq!((hung, next), (Err(TIMED_OUT), Err(TIMED_OUT)));
    assert_eq!(last, Err(ReadError::Overloaded));
    let counted = samples(&world.reads);
    let counted: Vec<_> = counted.iter().filter(|line| line.contains("reads_total")).collect();
    assert_eq!(
        counted,
        [
            r#"secret_reads_total{secret="token",outcome="duplicate-manifest"} 1"#,
            r#"secret_reads_total{secret="token",outcome="forbidden"} 1"#,
            r#"secret_reads_total{secret="token",outcome="invalid-data"} 1"#,
            r#"secret_reads_total{secret="token",outcome="unavailable"} 2"#,
            r#"secret_reads_total{secret="token",outcome="unreadable-manifest"} 1"#,
            r#"secret_reads_total{secret="value",outcome="overloaded"} 1"#,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_read_that_panics_is_counted() {
    let panics = Counter::default();
    let metrics = Metrics::new(secret_name("token"), panics.clone());
    let source = Arc::new(Answering(|| panic!("a test")));
    let reads = SharedReads::new(source, NonZeroUsize::MIN, DEADLINE, metrics);
    let read = reads.read(&secret_name("a")).await;
    assert!(matches!(read, Err(ReadError::Unavailable { .. })));
    assert_eq!(panics.get(), 1);
}
