use tokio::time::advance;

use super::*;

fn connection() -> Arc<Connection> {
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    Arc::new(Connection::new(peer, CancellationToken::new(), Arc::default()))
}

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn the_unproven_make_room_first_then_the_longest_idle_and_newcomers_last() {
    let mut connections = Vec::new();
    for _ in 0..5 {
        connections.push(connection());
        advance(Duration::from_millis(1)).await;
    }
    let [silent, refused, used, used_later, busy] = &connections[..] else { panic!() };
    drop(refused.begin());
    for used in [used, used_later] {
        let in_flight = used.begin();
        used.note_accepted();
        drop(in_flight);
        advance(Duration::from_millis(1)).await;
    }
    let _activity = busy.begin();
    assert_eq!(busy.eviction_class(), None);
    let first = |connections: &[&Arc<Connection>]| {
        let mut sorted: Vec<_> = connections.iter().map(|c| c.eviction_class().unwrap()).collect();
        sorted.sort();
        let given: Vec<_> = connections.iter().map(|c| c.eviction_class().unwrap()).collect();
        assert_eq!(given, sorted);
    };
    first(&[refused, used, used_later, silent]);
    advance(PROTECTED_AFTER_ACCEPT).await;
    first(&[silent, refused, used, used_later, &connection()]);

    assert!(!busy.evict(), "a request is under way");
    assert!(silent.evict());
    silent.evicted().await;
}

#[tokio::test(start_paused = true)]
async fn where_nobody_was_let_in_answers_that_are_left_to_lie_protect_nothing() {
    let (refused, accepted) = (connection(), connection());
    accepted.note_accepted();
    let activities = [&refused, &accepted].map(Connection::begin);
    advance(2 * UNREAD_REFUSAL).await;
    assert_eq!(refused.eviction_class(), None, "it is not answered yet");
    activities.iter().for_each(InFlightRequest::progress);
    assert_eq!(refused.eviction_class(), None, "the answer may be on its way");
    advance(UNREAD_REFUSAL).await;
    assert_eq!(refused.eviction_class(), Some(EvictionClass::Unproven(refused.opened)));
    assert!(refused.evict());
    refused.evicted().await;
    assert_eq!(accepted.eviction_class(), None);
    assert!(!accepted.evict());
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_requests_is_idle_and_one_whose_answer_rests_is_stalled() {
    let connection = connection();
    let begun = Instant::now();
    assert_eq!(connection.timed_out(LIMIT, LIMIT).await, TimeoutKind::Idle);
    assert_eq!(begun.elapsed(), LIMIT);

    let (moving, resting) = (connection.begin(), connection.begin());
    advance(2 * LIMIT).await;
    resting.progress();
    let begun = Instant::now();
    let neglected = connection.timed_out(LIMIT, LIMIT);
    let progress = async {
        loop {
            moving.progress();
            sleep_until(Instant::now() + LIMIT / 4).await;
        }
    };
    tokio::select! {
        kind = neglected => assert_eq!(kind, TimeoutKind::Stalled),
        () = progress => unreachable!(),
    }
    assert_eq!(begun.elapsed(), LIMIT, "another answer's progress is none of this one");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_just_opened_may_still_ask_once() {
    let fresh = connection();
    let begun = Instant::now();
    fresh.close();
    fresh.closing().await;
    assert_eq!(begun.elapsed(), FIRST_REQUEST_WAIT);
    let used = connection();
    drop(used.begin());
    let begun = Instant::now();
    used.close();
    used.closing().await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
}
