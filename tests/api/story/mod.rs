//! One story through every method of the store, told to a file and to PostgreSQL: they agree.

mod made;
mod settling;

use std::fmt::Debug;
use std::path::Path;

use cupel::domain::campaign::{CampaignId, LinkKind, PrivacyLevel, TenantId};
use cupel::store::{
    CampaignEdit, LinkEdit, NewLink, Place, RuleSetRow, Scope, ShortLinkEdit, Store, StoreError,
};

use crate::harness::postgres;
use made::*;

/// What the store said, in order.
struct Story {
    store: Store,
    said: Vec<String>,
}

impl Story {
    fn say(&mut self, what: &str, said: impl Debug) {
        self.said.push(format!("{what}: {said:#?}"));
    }

    /// What has no order of its own.
    fn say_all<T: Debug>(&mut self, what: &str, said: impl IntoIterator<Item = T>) {
        let mut said: Vec<_> = said.into_iter().map(|one| format!("{one:#?}")).collect();
        said.sort_unstable();
        self.said.push(format!("{what}: {said:#?}"));
    }

    async fn campaigns(&mut self) -> Result<(), StoreError> {
        let tenant = TenantId::FIRST;
        let made = self
            .store
            .create_campaign(tenant, "October", &to("home"), at(0))
            .await?;
        self.say("made", made);
        let other = self
            .store
            .create_campaign(tenant, "November", &to("home"), at(1))
            .await?;
        let edit = CampaignEdit {
            level: Some(PrivacyLevel::Aggregate),
            archived_at: Some(Some(at(9))),
            ..CampaignEdit::default()
        };
        let edited = self.store.edit_campaign(other.id, &edit).await?;
        self.say("edited", edited);
        let all = self.store.campaigns(0, 10).await?;
        self.say("all", all);
        let one = self.store.campaign(other.id).await?;
        let none = self.store.campaign(CampaignId::new(77).unwrap()).await?;
        self.say("one", (one, none));
        let first = self.store.reserve_numbers(campaign(), 10).await?;
        let next = self.store.reserve_numbers(campaign(), 1).await?;
        self.say("numbers", (first, next));
        Ok(())
    }

    async fn links(&mut self) -> Result<(), StoreError> {
        let new = |kind, path| NewLink {
            kind,
            action: None,
            destination: to(path),
            label: Some("größer".to_owned()),
        };
        let links = [
            new(LinkKind::Content, "1"),
            new(LinkKind::Unsubscribe, "u"),
            new(LinkKind::Content, "1"),
        ];
        let made = self.store.register_links(campaign(), &links, at(2)).await?;
        let number = made[0].number;
        self.say("registered", made);
        let second = [new(LinkKind::Unsubscribe, "other")];
        let refused = self.store.register_links(campaign(), &second, at(2)).await;
        assert!(
            matches!(refused, Err(StoreError::Conflict(_))),
            "{refused:?}"
        );
        let edit = LinkEdit {
            destination: Some(to("new")),
            label: Some(None),
            disabled_at: Some(Some(at(5))),
        };
        let edited = self.store.edit_link(campaign(), number, &edit).await?;
        self.say("edited", &edited);
        let links = self.store.links(campaign()).await?;
        let totals = self.store.link_totals(&[1, 2, 3]).await?;
        self.say_all("totals", totals);
        // An edge that had heard of them before the store lost them gives them back.
        let known = self.store.campaign(campaign()).await?;
        self.store.adopt(known.as_slice(), &links, at(3)).await?;
        let all = self.store.all_links().await?;
        assert_eq!(format!("{all:?}"), format!("{links:?}"));
        self.say("links", all);
        Ok(())
    }

    async fn short_links(&mut self) -> Result<(), StoreError> {
        let tenant = TenantId::FIRST;
        for code in ["go", "come"] {
            let made = self
                .store
                .create_short_link(tenant, code, &to(code), None, at(1))
                .await?;
            self.say("made", made);
        }
        let again = self
            .store
            .create_short_link(tenant, "go", &to("x"), None, at(1))
            .await;
        assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
        let edit = ShortLinkEdit {
            expires_at: Some(Some(at(99))),
            ..ShortLinkEdit::default()
        };
        let edited = self.store.edit_short_link("go", &edit).await?;
        self.say("edited", edited);
        let (one, none) = (
            self.store.short_link("go").await?,
            self.store.short_link("gone").await?,
        );
        self.say("one", (one, none));
        let all = self.store.short_links(0, 10).await?;
        self.store.adopt_short_links(tenant, &all).await?;
        let (size, next) = (
            self.store.short_links_size().await?,
            self.store.short_links(1, 10).await?,
        );
        self.say("short links", (all, size, next));
        Ok(())
    }

    async fn keys(&mut self) -> Result<(), StoreError> {
        let hash = [7; 32];
        let made = self
            .store
            .create_api_key("ci", Scope::Read, &hash, at(1))
            .await?;
        let (one, none) = (
            self.store.api_key(&hash).await?,
            self.store.api_key(&[8; 32]).await?,
        );
        let revoked = self.store.revoke_api_key(made.id, at(2)).await?;
        let twice = self.store.revoke_api_key(made.id, at(3)).await?;
        let (all, count) = (
            self.store.api_keys().await?,
            self.store.api_keys_count().await?,
        );
        self.say("keys", (made, one, none, revoked, twice, all, count));
        Ok(())
    }

    async fn rulesets(&mut self) -> Result<(), StoreError> {
        let none = self.store.live_ruleset().await?;
        for id in RULES {
            let row = RuleSetRow {
                id,
                name: format!("own{}", id.0),
                version: 2,
                text: "a = \"ä\"\n".to_owned(),
                created_at: at(1),
            };
            let kept = self.store.keep_ruleset(&row).await?;
            let again = self.store.keep_ruleset(&row).await?;
            self.say("kept", (kept, again));
        }
        let used = self.store.use_ruleset(RULES[0], false, 0, at(2)).await?;
        let late = self.store.use_ruleset(RULES[1], false, 0, at(2)).await?;
        let live = self.store.live_ruleset().await?;
        self.say("live", (none, used, late, live));
        let all = self.store.rulesets().await?;
        self.say_all("rule sets", all);
        Ok(())
    }

    /// What only a store has that several share.
    async fn following(&mut self) -> Result<(), StoreError> {
        let Some(mut ear) = self.store.listen().await? else {
            assert!(!self.store.is_remote());
            return Ok(());
        };
        let news = self.store.news().await?;
        self.store.followed(&news);
        let edit = LinkEdit {
            label: Some(Some("heard".to_owned())),
            ..LinkEdit::default()
        };
        let number = self.store.links(campaign()).await?[0].number;
        let edited = self.store.edit_link(campaign(), number, &edit).await?;
        ear.hear().await?;
        let span = self.store.news().await?.catalogue.unwrap();
        let changed = self.store.changed(span).await?;
        let heard = changed.links.last();
        assert_eq!(format!("{heard:?}"), format!("{:?}", edited.as_ref()));
        Ok(())
    }
}

async fn told(place: &Place) -> Vec<String> {
    assert_eq!(Store::peek(place, EDGE).await.unwrap(), None);
    assert_eq!(Store::schema(place).await.unwrap(), None);
    let store = Store::open(place, at(0)).await.unwrap();
    let known = Store::schema_known(place);
    assert_eq!(Store::schema(place).await.unwrap(), Some(known));
    if let Place::Directory(data) = place {
        assert!(Store::is_held(data));
    }
    store.check().await.unwrap();
    store.check_place().unwrap();
    store.look_ahead(at(0)).await.unwrap();
    let mut story = Story {
        store,
        said: Vec::new(),
    };
    story.campaigns().await.unwrap();
    story.links().await.unwrap();
    story.short_links().await.unwrap();
    story.keys().await.unwrap();
    story.rulesets().await.unwrap();
    story.settling().await.unwrap();
    story.sweeps().await.unwrap();
    story.rejudging().await.unwrap();
    story.following().await.unwrap();
    assert!(story.store.bytes().await.unwrap() > 10_000);
    assert!(!story.store.is_busy(&StoreError::LeaseLost));
    let seen = Store::peek(place, EDGE).await.unwrap();
    story.say("peeked", seen);
    story.store.close().await;
    story.store.check().await.unwrap_err();
    story.said
}

#[tokio::test]
async fn both_databases_tell_the_same_story() {
    let own = tempfile::tempdir().unwrap();
    let on_file = told(&Place::Directory(own.path().to_owned())).await;
    assert!(on_file.len() > 30);
    let Some(url) = postgres() else { return };
    let name = format!("story_{}", std::process::id());
    crate::postgres::database(&url, &name);
    let on_server = told(&Place::Postgres(format!("{url}/{name}"))).await;
    for (file, server) in on_file.iter().zip(&on_server) {
        assert_eq!(file, server);
    }
    assert_eq!(on_file.len(), on_server.len());
}

/// Whoever gives the store a method adds it to the story.
#[test]
fn the_story_has_every_method_of_the_store() {
    let story = concat!(include_str!("mod.rs"), include_str!("settling.rs"));
    let mut methods = 0;
    for file in std::fs::read_dir(Path::new("src/store")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|kind| kind != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut own = false;
        for line in text.lines() {
            own = match line {
                "impl Store {" => true,
                "}" => false,
                _ => own,
            };
            let method = line
                .strip_prefix("    pub async fn ")
                .or_else(|| line.strip_prefix("    pub fn "));
            let Some(name) = method
                .filter(|_| own)
                .and_then(|rest| rest.split('(').next())
            else {
                continue;
            };
            methods += 1;
            let called = [format!(".{name}("), format!("Store::{name}(")];
            assert!(
                called.iter().any(|call| story.contains(call)),
                "{}: {name} is not in the story",
                path.display()
            );
        }
    }
    assert!(methods > 60, "{methods}");
}
