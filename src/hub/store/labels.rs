//! Agents' labels.

use std::collections::HashMap;

use crate::hub::labels::{LabelChanges, Labels, Selector};
use crate::id::AgentName;
use crate::limit;

use super::agents::{self, AgentRow, AgentState};
use super::audit::{self, Action};
use super::{AgentRef, Store, StoreError};

type Row = (i64, String, String);

fn add(labels: &mut Labels, name: &str, value: &str) -> Result<(), StoreError> {
    let damaged = |_| StoreError::Damaged("label");
    labels.set(name.parse().map_err(damaged)?, value.parse().map_err(damaged)?);
    Ok(())
}

impl Store {
    /// The labels of one agent.
    ///
    /// # Errors
    /// What the database says.
    pub async fn labels(&self, agent: AgentRef) -> Result<Labels, StoreError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("select name, value from agent_labels where agent = $1")
                .bind(agent.0)
                .fetch_all(&self.pool)
                .await?;
        let mut labels = Labels::default();
        for (name, value) in rows {
            add(&mut labels, &name, &value)?;
        }
        Ok(labels)
    }

    /// The labels of all agents that have any.
    ///
    /// # Errors
    /// What the database says.
    pub async fn all_labels(&self) -> Result<HashMap<AgentRef, Labels>, StoreError> {
        let rows: Vec<Row> =
            sqlx::query_as("select agent, name, value from agent_labels").fetch_all(&self.pool).await?;
        let mut all: HashMap<AgentRef, Labels> = HashMap::new();
        for (agent, name, value) in rows {
            add(all.entry(AgentRef(agent)).or_default(), &name, &value)?;
        }
        Ok(all)
    }

    /// The agents that a selector means, by name; revoked ones too.
    ///
    /// # Errors
    /// What the database says.
    pub async fn selected(&self, selector: &Selector) -> Result<Vec<AgentRow>, StoreError> {
        let (mut agents, labels) = (self.agents().await?, self.all_labels().await?);
        let none = Labels::default();
        agents.retain(|row| selector.matches(labels.get(&row.agent).unwrap_or(&none)));
        Ok(agents)
    }

    /// The same, but for those that are revoked: they take no jobs.
    ///
    /// # Errors
    /// What the database says.
    pub async fn selected_active(&self, selector: &Selector) -> Result<Vec<AgentRow>, StoreError> {
        let mut agents = self.selected(selector).await?;
        agents.retain(|row| row.state == AgentState::Active);
        Ok(agents)
    }

    /// Changes some labels of an agent.
    ///
    /// # Errors
    /// `NoAgent`, `TooManyLabels` (nothing is changed), or what the database says.
    pub async fn change_labels(
        &self,
        name: &AgentName,
        changes: &LabelChanges,
    ) -> Result<AgentRow, StoreError> {
        let mut transaction = self.write().await?;
        let row =
            agents::named(&mut transaction, name).await?.ok_or_else(|| StoreError::NoAgent(name.clone()))?;
        for (label, value) in &changes.0 {
            let query = match value {
                Some(value) => sqlx::query(
                    "insert into agent_labels (agent, name, value) values ($1, $2, $3)
                     on conflict (agent, name) do update set value = excluded.value",
                )
                .bind(row.agent.0)
                .bind(label.as_str())
                .bind(value.as_str()),
                None => sqlx::query("delete from agent_labels where agent = $1 and name = $2")
                    .bind(row.agent.0)
                    .bind(label.as_str()),
            };
            query.execute(&mut *transaction).await?;
        }
        let (count,): (i64,) = sqlx::query_as("select count(*) from agent_labels where agent = $1")
            .bind(row.agent.0)
            .fetch_one(&mut *transaction)
            .await?;
        if count > limit::LABELS_MAX {
            return Err(StoreError::TooManyLabels { agent: name.clone(), count });
        }
        audit::note(&mut transaction, &self.actor, Action::Labelled, name.as_str(), &texts(changes)).await?;
        transaction.commit().await?;
        self.changes.note(row.agent);
        Ok(row)
    }
}

/// The changes as a command line has them.
fn texts(changes: &LabelChanges) -> String {
    let words = changes.0.iter().map(|(name, value)| {
        value.as_ref().map_or_else(|| format!("{name}-"), |value| format!("{name}={value}"))
    });
    words.collect::<Vec<_>>().join(" ")
}
