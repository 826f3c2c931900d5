//! What callers do with spaces.

use polyphony_chassis::Caller;
use polyphony_error::{Fault, Kind};
use polyphony_wire::Refusals;
use uuid::Uuid;

use crate::domain::{Chunking, NewSpace, Space, SpaceChange, rules};
use crate::ledger::{Owned, Request};
use crate::{Error, Scope, Store};

/// The longest id of a space.
const LONGEST_ID: usize = 63;

/// What an id of a space is, for who chose another.
pub(crate) const ID_RULE: &str = "must be 1 to 63 of a-z, 0-9 and \"-\", beginning with a letter";

/// Whether an id is 1 to 63 of a-z, 0-9 and "-", beginning with a letter.
pub(crate) fn is_id(id: &str) -> bool {
    id.len() <= LONGEST_ID
        && id.starts_with(|first: char| first.is_ascii_lowercase())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

// === impl Store ===

impl Store {
    /// Makes a space that the caller owns. A request that was answered before is given the same one again.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for fields that cannot be used, ALREADY_EXISTS, NOT_FOUND for an embedding model that there is not,
    /// PERMISSION_DENIED for a caller without a name.
    pub async fn create_space(
        &self,
        caller: &Caller,
        new: NewSpace,
        request_id: &str,
    ) -> Result<Space, Error> {
        let owner = owner(caller)?;
        let digest = format!("{new:?}");
        let new = self.checked(new).await?;
        let id = match &new.id {
            Some(id) => id.clone(),
            None => format!("space-{}", Uuid::new_v4().simple()),
        };
        self.check_room()?;
        let request = Request {
            id: request_id.to_owned(),
            kind: "create_space",
            digest,
        };
        self.ledger().create_space(&owner, &id, &new, &request).await
    }

    /// The caller's key to one of its spaces, by the last part of its name.
    ///
    /// # Errors
    /// NOT_FOUND when the caller has none of this name, whoever else has.
    pub async fn scope(&self, caller: &Caller, space: &str) -> Result<Scope, Error> {
        self.ledger().owned(caller, space).await.map(Scope::of)
    }

    /// The key to a space for what its owner asked for earlier; none when that space is gone.
    ///
    /// # Errors
    /// When the ledger fails.
    pub(crate) async fn scope_again(
        &self,
        number: i64,
        owner: &str,
        space: &str,
    ) -> Result<Option<Scope>, Error> {
        let owned = self.ledger().at_work(number).await?;
        let same = |owned: &Owned| owned.owner == owner && owned.id == space;
        Ok(owned.filter(same).map(Scope::of))
    }

    /// The space as its owner sees it.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn space(&self, scope: &Scope) -> Result<Space, Error> {
        self.ledger().space(scope.key().number()).await
    }

    /// The epoch of the space as it is now.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn epoch(&self, scope: &Scope) -> Result<u64, Error> {
        self.ledger().epoch(scope.key().number()).await
    }

    /// At most `most` spaces of the caller after the one of this id, by id.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn list_spaces(&self, caller: &Caller, after: &str, most: usize) -> Result<Vec<Space>, Error> {
        self.ledger().list_spaces(caller, after, most).await
    }

    /// Changes a space.
    ///
    /// # Errors
    /// INVALID_ARGUMENT, ABORTED for an older version, FAILED_PRECONDITION for another model once there is a document.
    pub async fn update_space(&self, scope: &Scope, mut change: SpaceChange) -> Result<Space, Error> {
        let language = change.language.as_ref().and_then(Option::as_deref);
        check(change.display_name.as_deref(), language, change.chunking)?;
        if let Some(model) = &mut change.embedding_model {
            *model = self.embedding_model(model).await?;
            self.check_mine(scope)?;
            // What is only waiting to be forgotten is in the way of another model, and can be forgotten now.
            let (store, of) = (self.clone(), scope.clone());
            self.whole(async move { store.tidy(&of).await }).await?;
        }
        self.check_room()?;
        self.ledger().update_space(scope.key().number(), &change).await
    }

    /// Deletes a space with all its documents: nobody sees it from here on.
    ///
    /// # Errors
    /// ABORTED for an older version, FAILED_PRECONDITION when there are documents and `force` is not set.
    pub async fn delete_space(&self, scope: &Scope, force: bool, etag: &str) -> Result<(), Error> {
        self.check_mine(scope)?;
        self.ledger()
            .delete_space(scope.key().number(), force, etag)
            .await?;
        self.tidy_later(scope.clone());
        Ok(())
    }

    /// The new space with what is not said filled in.
    pub(crate) async fn checked(&self, mut new: NewSpace) -> Result<NewSpace, Error> {
        if let Some(id) = &new.id
            && !is_id(id)
        {
            return Err(Fault::invalid("space_id", ID_RULE).into());
        }
        check(
            Some(&new.display_name),
            new.language.as_deref(),
            Some(new.chunking),
        )?;
        new.embedding_model = self.embedding_model(&new.embedding_model).await?;
        Ok(new)
    }

    /// The model of this name, the default for none; one that there is not is refused now and not by the first document.
    async fn embedding_model(&self, model: &str) -> Result<String, Error> {
        if model.is_empty() {
            return Ok(self.models().default_embedder());
        }
        self.models().embedder(model).await?;
        Ok(model.to_owned())
    }
}

/// The name under which the caller owns things.
pub(crate) fn owner(caller: &Caller) -> Result<String, Error> {
    caller.owner().map(str::to_owned).ok_or_else(|| {
        let text =
            "your certificate has no name that could own a space; take one with a SPIFFE id or a DNS name";
        Fault::new(Kind::PermissionDenied, "CALLER_WITHOUT_NAME", text).into()
    })
}

/// What is said of a space, new or other than before.
fn check(title: Option<&str>, language: Option<&str>, chunking: Option<Chunking>) -> Result<(), Fault> {
    let mut refusals = Refusals::at("");
    if let Some(title) = title {
        rules::display_name(title, &mut refusals);
    }
    if let Some(language) = language {
        rules::language(language, "space.language_code", &mut refusals);
    }
    if let Some(chunking) = chunking {
        rules::chunking(chunking, &mut refusals);
    }
    refusals.finish()
}
