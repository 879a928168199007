//! Links of campaigns.

use std::collections::HashMap;

use crate::domain::campaign::{ActionKind, CampaignId, LinkKind, LinkNumber};
use crate::domain::destination::Destination;
use crate::domain::time::Micros;

use super::campaigns::CampaignRow;
use super::connections::Transaction;
use super::sql::{Query, Row, Sql};
use super::{Store, StoreError, narrow};

/// Campaigns asked for in one statement.
const CAMPAIGNS_MAX: usize = 2_000;

/// A link as it is stored.
#[derive(Clone, Debug)]
pub struct LinkRow {
    /// The campaign that owns it.
    pub campaign: CampaignId,
    /// Its number there.
    pub number: LinkNumber,
    /// What it does.
    pub kind: LinkKind,
    /// What its press means, for an action link.
    pub action: Option<ActionKind>,
    /// Where it leads.
    pub destination: Destination,
    /// A name for people.
    pub label: Option<String>,
    /// When it was disabled.
    pub disabled_at: Option<Micros>,
}

/// A link to be registered.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// What it does.
    pub kind: LinkKind,
    /// What its press means, for an action link.
    pub action: Option<ActionKind>,
    /// Where it leads.
    pub destination: Destination,
    /// A name for people.
    pub label: Option<String>,
}

/// What an edit of a link changes.
#[derive(Clone, Debug, Default)]
pub struct LinkEdit {
    /// New destination; mail already sent follows.
    pub destination: Option<Destination>,
    /// New label; `Some(None)` takes it away.
    pub label: Option<Option<String>>,
    /// Disabled (since when) or not.
    pub disabled_at: Option<Option<Micros>>,
}

const ALL_LINKS: Sql = Sql::same(
    "SELECT campaign, number, kind, action, url, label, disabled_at
    FROM links WHERE (campaign, number) > ($1, $2) ORDER BY campaign, number LIMIT $3",
);

const LINKS: Sql = Sql::same(
    "SELECT campaign, number, kind, action, url, label, disabled_at
    FROM links WHERE campaign = $1 ORDER BY number",
);

const LINK: Sql = Sql::same(
    "SELECT campaign, number, kind, action, url, label, disabled_at
    FROM links WHERE campaign = $1 AND number = $2",
);

const INSERT_LINK: Sql = Sql::same(
    "INSERT INTO links
    (campaign, number, kind, action, url, label, created_at, disabled_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
);

const LOCK: Sql = Sql::of(
    "SELECT id FROM campaigns WHERE id = $1",
    "SELECT id FROM campaigns WHERE id = $1 FOR UPDATE",
);

const NUMBER_ON: &str = "SELECT setval(pg_get_serial_sequence('campaigns', 'id'), max(id))
    FROM campaigns HAVING max(id) IS NOT NULL";

/// Links read in one go.
const PAGE_LINKS: u32 = 20_000;

/// Links of one campaign.
const LINKS_PER_CAMPAIGN_MAX: usize = 20_000;

impl Store {
    /// Registers links in one transaction; the same url and kind again gives the same number.
    /// The result has the order of `links`.
    ///
    /// # Errors
    /// `Conflict` for a second unsubscribe link with another destination, and for an action that
    /// is registered with another sub-kind; `TooMany`; or not available.
    pub async fn register_links(
        &self,
        campaign: CampaignId,
        links: &[NewLink],
        now: Micros,
    ) -> Result<Vec<LinkRow>, StoreError> {
        let id = i64::from(campaign.get());
        let mut transaction = self.writer()?.begin().await?;
        // Numbers are given by one at a time: SQLite has one that writes.
        transaction.optional(Query::new(LOCK).bind(id)).await?;
        let rows = transaction.all(Query::new(LINKS).bind(id)).await?;
        let rows = rows.iter().map(link).collect::<Result<Vec<_>, _>>()?;
        let mut next = rows.last().map_or(0, |last| last.number.get());
        let mut known: HashMap<_, _> = rows.into_iter().map(|row| (key(&row), row)).collect();
        let mut unsubscribes = known.keys().any(|(kind, _)| *kind == LinkKind::Unsubscribe);
        let mut registered = Vec::with_capacity(links.len());
        for new in links {
            let wanted = (new.kind, new.destination.as_str().to_owned());
            if let Some(same) = known.get(&wanted) {
                if new.action.is_some_and(|action| same.action != Some(action)) {
                    return Err(StoreError::Conflict("this action with another sub_kind"));
                }
                registered.push(same.clone());
                continue;
            }
            if new.kind == LinkKind::Unsubscribe && unsubscribes {
                return Err(StoreError::Conflict(
                    "another unsubscribe link of this campaign",
                ));
            }
            unsubscribes |= new.kind == LinkKind::Unsubscribe;
            if known.len() >= LINKS_PER_CAMPAIGN_MAX {
                return Err(StoreError::TooMany {
                    what: "links",
                    limit: LINKS_PER_CAMPAIGN_MAX,
                });
            }
            next = next.saturating_add(1);
            let number = LinkNumber::new(next).ok_or(StoreError::Unreadable("link number"))?;
            let row = LinkRow {
                campaign,
                number,
                kind: new.kind,
                action: match new.kind {
                    LinkKind::Action => Some(new.action.unwrap_or(ActionKind::Generic)),
                    _ => None,
                },
                destination: new.destination.clone(),
                label: new.label.clone(),
                disabled_at: None,
            };
            if insert_link(&mut transaction, &row, now).await? != 1 {
                return Err(StoreError::Conflict("a link of this number"));
            }
            known.insert(wanted, row.clone());
            registered.push(row);
        }
        transaction.commit().await?;
        Ok(registered)
    }

    /// Links of a campaign, by number.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn links(&self, campaign: CampaignId) -> Result<Vec<LinkRow>, StoreError> {
        let query = Query::new(LINKS).bind(i64::from(campaign.get()));
        self.readers.all(query).await?.iter().map(link).collect()
    }

    /// Links of all campaigns, by campaign and number.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn all_links(&self) -> Result<Vec<LinkRow>, StoreError> {
        let (mut all, mut after) = (Vec::new(), (0, 0));
        loop {
            let query = Query::new(ALL_LINKS).bind(after.0).bind(after.1);
            let rows = self.readers.all(query.bind(PAGE_LINKS)).await?;
            let links = rows.iter().map(link).collect::<Result<Vec<_>, _>>()?;
            let Some(last) = links.last() else {
                return Ok(all);
            };
            after = (last.campaign.get(), last.number.get());
            all.extend(links);
        }
    }

    /// How many links a reader can follow in those of these campaigns that have any.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn link_totals(&self, campaigns: &[u32]) -> Result<Vec<(u32, u32)>, StoreError> {
        const BEGIN: Sql = Sql::same(
            "SELECT campaign, count(*) FROM links WHERE disabled_at IS NULL AND kind <> ",
        );
        let mut totals = Vec::with_capacity(campaigns.len());
        for chunk in campaigns.chunks(CAMPAIGNS_MAX) {
            let honeypot = i64::from(LinkKind::Honeypot.code());
            let query = Query::begin(BEGIN).push_bind(honeypot);
            let mut query = query.push(" AND campaign IN (");
            for (at, campaign) in chunk.iter().enumerate() {
                let before = if at == 0 { "" } else { ", " };
                query = query.push(before).push_bind(i64::from(*campaign));
            }
            for row in self.readers.all(query.push(") GROUP BY campaign")).await? {
                totals.push((
                    narrow(row.at(0)?, "campaign")?,
                    narrow(row.at(1)?, "links")?,
                ));
            }
        }
        Ok(totals)
    }

    /// Changes a link; `None` if there is none.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn edit_link(
        &self,
        campaign: CampaignId,
        number: LinkNumber,
        edit: &LinkEdit,
    ) -> Result<Option<LinkRow>, StoreError> {
        const SQL: Sql = Sql::same(
            "UPDATE links SET
                url = coalesce($3, url), label = CASE WHEN $4 THEN $5 ELSE label END,
                disabled_at = CASE WHEN $6 THEN $7 ELSE disabled_at END
            WHERE campaign = $1 AND number = $2",
        );
        let (id, n) = (i64::from(campaign.get()), i64::from(number.get()));
        let mut transaction = self.writer()?.begin().await?;
        transaction
            .run(
                Query::new(SQL)
                    .bind(id)
                    .bind(n)
                    .bind(edit.destination.as_ref().map(Destination::as_str))
                    .bind(edit.label.is_some())
                    .bind(edit.label.as_ref().and_then(Option::as_deref))
                    .bind(edit.disabled_at.is_some())
                    .bind(edit.disabled_at.flatten().map(Micros::get)),
            )
            .await?;
        let query = Query::new(LINK).bind(id).bind(n);
        let row = transaction.optional(query).await?;
        let edited = row.map(|row| link(&row)).transpose()?;
        transaction.commit().await?;
        Ok(edited)
    }

    /// Takes in campaigns and links that an edge knows and this store does not: mail with them is
    /// out, so their numbers must never be given to others. Nothing that is here changes.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn adopt(
        &self,
        campaigns: &[CampaignRow],
        links: &[LinkRow],
        now: Micros,
    ) -> Result<(), StoreError> {
        const SQL: Sql = Sql::same(
            "INSERT INTO campaigns
            (id, tenant, name, home_url, level, next_number, created_at)
            VALUES ($1, $2, $3, $4, $5, 0, $6) ON CONFLICT DO NOTHING",
        );
        let mut transaction = self.writer()?.begin().await?;
        for row in campaigns {
            transaction
                .run(
                    Query::new(SQL)
                        .bind(i64::from(row.id.get()))
                        .bind(i64::from(row.tenant.get()))
                        .bind(row.name.as_str())
                        .bind(row.home.as_str())
                        .bind(i64::from(row.level.code()))
                        .bind(now.get()),
                )
                .await?;
        }
        for row in links {
            insert_link(&mut transaction, row, now).await?;
        }
        transaction.number_on(NUMBER_ON).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// What makes a link the same link.
fn key(row: &LinkRow) -> (LinkKind, String) {
    (row.kind, row.destination.as_str().to_owned())
}

/// How many rows it made: none where the number is taken.
async fn insert_link(on: &mut Transaction, row: &LinkRow, now: Micros) -> Result<u64, StoreError> {
    on.run(
        Query::new(INSERT_LINK)
            .bind(i64::from(row.campaign.get()))
            .bind(i64::from(row.number.get()))
            .bind(i64::from(row.kind.code()))
            .bind(row.action.map(|action| i64::from(action.code())))
            .bind(row.destination.as_str())
            .bind(row.label.as_deref())
            .bind(now.get())
            .bind(row.disabled_at.map(Micros::get)),
    )
    .await
}

pub(super) fn link(row: &Row) -> Result<LinkRow, StoreError> {
    let action: Option<i64> = row.get("action")?;
    let action = action
        .map(|code| {
            ActionKind::from_code(narrow(code, "sub-kind")?)
                .ok_or(StoreError::Unreadable("sub-kind"))
        })
        .transpose()?;
    let (Some(campaign), Some(number), Some(kind)) = (
        CampaignId::new(narrow(row.get("campaign")?, "campaign")?),
        LinkNumber::new(narrow(row.get("number")?, "link number")?),
        LinkKind::from_code(narrow(row.get("kind")?, "link kind")?),
    ) else {
        return Err(StoreError::Unreadable("link"));
    };
    Ok(LinkRow {
        campaign,
        number,
        kind,
        action,
        destination: Destination::stored(row.get("url")?),
        label: row.get("label")?,
        disabled_at: row.get::<Option<i64>>("disabled_at")?.map(Micros::new),
    })
}
