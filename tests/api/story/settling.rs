//! What is written of hits, and read of them.

use cupel::domain::hit::HitKind;
use cupel::domain::judgement::{Class, Facts, Ledger, RejudgeMode};
use cupel::domain::message::MessageId;
use cupel::domain::shard::Shard;
use cupel::store::{
    EventFilter, Ingest, Lease, LinkCounts, MessageState, Moved, Part, Position, Reclassed,
    Rejudged, RejudgedShard, Revision, StoreError,
};

use super::Story;
use super::made::*;

impl Story {
    /// Where several may settle, who does says so to all: shards are held, and how far each is
    /// stands there.
    async fn lease(&self, (edge, to): (i64, Position)) -> Result<Option<Lease>, StoreError> {
        let Some(shared) = self.store.shared() else {
            return Ok(None);
        };
        Ok(Some(Lease {
            holder: EDGE,
            turns: shared.lease(EDGE).await?,
            taken: Vec::new(),
            lanes: vec![(edge, to.settled_sequence)],
            settled_to: Some(to.settled_to),
        }))
    }

    /// Three hits are written, and one judgement changes.
    pub(super) async fn settling(&mut self) -> Result<(), StoreError> {
        let (edge, from) = self.store.edge(EDGE, at(0)).await?;
        assert_eq!(self.store.edge(EDGE, at(1)).await?, (edge, from));
        let to = Position {
            sequence: 3,
            settled_sequence: 1,
            settled_to: at(1),
        };
        let moved = |from, to| {
            Some(Moved {
                edge,
                from,
                to,
                shipped_to: at(3),
                waited_for: true,
            })
        };
        let mut state = MessageState {
            recipient: Some(RECIPIENT),
            accepted_at: Some(at(-60)),
            first_hit_at: Some(at(1)),
            ..MessageState::default()
        };
        *state.entry(HitKind::Click, 1) = LinkCounts {
            kind: HitKind::Click,
            link: 1,
            raw: 2,
            human: 2,
        };
        let first = Ingest {
            journal: moved(from, to),
            texts: vec![(u64::MAX, b"Mozilla/5.0 \xff".to_vec())],
            hits: (1..4).map(|number| (edge, Box::new(hit(number)))).collect(),
            acts: vec![(2, act())],
            messages: vec![(message(), state.clone())],
            sums: vec![sum(Class::Human, 2)],
            uniques: vec![unique(1, 1)],
            evidence: vec![(evidence(), 2)],
            sweeps: (0..3).map(sweep).collect(),
            lease: self.lease((edge, to)).await?,
            ..Ingest::default()
        };
        self.store.ingest(&first).await?;
        let again = self.store.ingest(&first).await;
        assert!(
            matches!(again, Err(StoreError::Position { expected: 0 })),
            "{again:?}"
        );
        self.hits(edge).await?;
        state.stored = true;
        state.entry(HitKind::Click, 1).human = 1;
        let end = Position {
            settled_sequence: 3,
            settled_to: at(3),
            ..to
        };
        let second = Ingest {
            journal: moved(to, end),
            lease: self.lease((edge, end)).await?,
            revisions: vec![Revision {
                edge,
                sequence: 1,
                hit_at: at(1),
                facts: Facts::from_bits(6),
                verdict: verdict(Class::Scanner),
                ruleset: RULES[1],
                at: at(80),
            }],
            messages: vec![(message(), state)],
            sums: vec![sum(Class::Human, -1), sum(Class::Scanner, 1)],
            uniques: vec![unique(0, 0)],
            evidence: vec![(evidence(), -1)],
            ..Ingest::default()
        };
        self.store.ingest(&second).await?;
        self.hits(edge).await?;
        let earlier = self.store.earlier_judgements(EDGE, 1).await?;
        self.say("earlier", earlier);
        let names = self.store.edge_names().await?;
        self.say(
            "edges",
            (names.get(&edge), self.store.silent_edges().await?),
        );
        Ok(())
    }

    /// What is read of hits, and of what is counted of them.
    async fn hits(&mut self, edge: i64) -> Result<(), StoreError> {
        if let Some(shared) = self.store.shared() {
            shared.tell_settled().await?;
        }
        let filter = EventFilter {
            limit: 10,
            ..EventFilter::default()
        };
        let all = self.store.events(&filter).await?;
        assert_eq!(all.len(), 3);
        self.say("events", all);
        let humans = EventFilter {
            campaign: Some(campaign()),
            kind: Some(HitKind::Click),
            class: Some(Class::Human),
            after: Some((EDGE, 1)),
            ..filter
        };
        let some = self.store.events(&humans).await?;
        let (one, none) = (
            self.store.event(EDGE, 3).await?,
            self.store.event(EDGE, 4).await?,
        );
        self.say("some", (some, one, none));
        let after = self.store.hits_after(edge, 1, 1).await?;
        self.say("after", after);
        let judged = self.store.judged_hits((edge, 0), None, 2).await?;
        let of_campaign = self
            .store
            .judged_hits((edge, 1), Some(campaign()), 9)
            .await?;
        self.say("judged", (judged, of_campaign));
        let state = self.store.message_state(message()).await?;
        let other = MessageId {
            number: 4,
            ..message()
        };
        let states = self.store.message_states(&[message(), other]).await?;
        self.say("message", (state, states));
        let counts = self.store.counts(Ledger::IN_FORCE, 1).await?;
        self.say_all("sums", counts.sums);
        self.say_all("uniques", counts.uniques);
        let sums = self.store.short_link_sums(Ledger::IN_FORCE, 1).await?;
        self.say_all("of a short link", sums);
        let (settled_to, evidence) = (
            self.store.settled_to().await?,
            self.store.evidence(at(-30 * 86_400)).await?,
        );
        self.say("settled to", (settled_to, evidence));
        Ok(())
    }

    pub(super) async fn sweeps(&mut self) -> Result<(), StoreError> {
        let all = self.store.sweeps(at(0)).await?;
        assert_eq!(all, (0..3).map(sweep).collect::<Vec<_>>());
        assert!(!self.store.forget_sweeps(at(2)).await?, "that was all");
        let left = self.store.sweeps(at(0)).await?;
        self.say("sweeps", (all, left));
        Ok(())
    }

    pub(super) async fn rejudging(&mut self) -> Result<(), StoreError> {
        let (edge, _) = self.store.edge(EDGE, at(0)).await?;
        let dry = RejudgeMode::DryRun;
        let id = self
            .store
            .begin_rejudgement(RULES[0], dry, Some(campaign()), at(90))
            .await?;
        let open = self.store.open_rejudgements().await?;
        self.say("open", open);
        let class = Reclassed {
            part: Part::Campaign(1),
            kind: HitKind::Click,
            was: Class::Human,
            class: Class::Scanner,
        };
        let shard = |shard| RejudgedShard {
            shard,
            to: (edge, 3),
            hits: 1,
            changed: 1,
            done: true,
        };
        let all = Rejudged {
            id,
            shards: Shard::all().map(shard).collect(),
            classes: vec![(class, 16)],
            at: at(91),
        };
        let looked_at = Ingest {
            rejudged: Some(all),
            ..Ingest::default()
        };
        self.store.ingest(&looked_at).await?;
        let again = self.store.ingest(&looked_at).await;
        assert!(matches!(again, Err(StoreError::Ended)), "{again:?}");
        let (done, classes) = (
            self.store.rejudgement(id).await?,
            self.store.rejudged_classes(id).await?,
        );
        self.say("done", (done, classes));
        let shadow = self.store.begin_shadow(RULES[1], 2, at(92)).await?;
        let (own, all) = (
            self.store.shadow(RULES[1]).await?,
            self.store.shadows().await?,
        );
        self.say("shadow", (shadow, own, all));
        let ended = self.store.end_rejudgement(shadow, at(93)).await?;
        let twice = self.store.end_rejudgement(shadow, at(94)).await?;
        let left = self.store.forget_shadow().await?;
        let all = self.store.rejudgements(i64::MAX, 10).await?;
        self.say("ended", (ended, twice, left, all));
        Ok(())
    }
}
