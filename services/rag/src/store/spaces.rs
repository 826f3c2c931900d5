//! What callers do with spaces.

use polyphony_chassis::Caller;
use polyphony_error::{Fault, Kind};
use uuid::Uuid;

use crate::domain::{Chunking, NewSpace, Space, SpaceChange};
use crate::ledger::{Owned, Request};
use crate::{Error, Scope, Store};

/// The longest id of a space.
const LONGEST_ID: usize = 63;
/// Characters of a title.
const LONGEST_TITLE: usize = 100;
const LONGEST_LANGUAGE: usize = 35;

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
        if let Some(model) = &mut change.embedding_model {
            *model = self.embedding_model(model).await?;
            self.check_mine(scope)?;
            // What is only waiting to be forgotten is in the way of another model, and can be forgotten now.
            let (store, of) = (self.clone(), scope.clone());
            self.whole(async move { store.tidy(&of).await }).await?;
        }
        if let Some(title) = &change.display_name {
            check_title(title)?;
        }
        if let Some(Some(language)) = &change.language {
            check_language(language)?;
        }
        if let Some(chunking) = change.chunking {
            check_chunking(chunking)?;
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
        check_title(&new.display_name)?;
        if let Some(language) = &new.language {
            check_language(language)?;
        }
        check_chunking(new.chunking)?;
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

fn check_title(title: &str) -> Result<(), Error> {
    if title.chars().count() <= LONGEST_TITLE && !title.chars().any(char::is_control) {
        return Ok(());
    }
    let why = format!("must be at most {LONGEST_TITLE} characters, without control characters");
    Err(Fault::invalid("space.display_name", why).into())
}

fn check_language(language: &str) -> Result<(), Error> {
    let fits = (1..=LONGEST_LANGUAGE).contains(&language.len())
        && language
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits {
        return Ok(());
    }
    let why = "must be a BCP-47 tag, as \"en\" or \"pt-BR\"";
    Err(Fault::invalid("space.language_code", why).into())
}

fn check_chunking(chunking: Chunking) -> Result<(), Error> {
    let Chunking {
        target_tokens,
        max_tokens,
        overlap_tokens,
    } = chunking;
    let refused =
        |field: &str, why: String| Err(Fault::invalid(format!("space.chunking.{field}"), why).into());
    if !(50..=2_000).contains(&target_tokens) {
        return refused("target_tokens", "must be 50 to 2000".to_owned());
    }
    if !(target_tokens..=8_192).contains(&max_tokens) {
        let why = format!("must be target_tokens ({target_tokens}) to 8192");
        return refused("max_tokens", why);
    }
    if overlap_tokens > 500 || overlap_tokens >= target_tokens {
        let why = format!("must be 0 to 500, and less than target_tokens ({target_tokens})");
        return refused("overlap_tokens", why);
    }
    Ok(())
}
