//! Second names, and what is in memory.

use super::{Subject, fixture};
use crate::{IndexError, VectorIndex};
use sightline_core::{CollectionDescription, CollectionName};

async fn behind(index: &dyn VectorIndex, name: &CollectionName) -> Option<CollectionName> {
    index.describe(name).await.unwrap().map(|found| found.name)
}

async fn two(subject: &Subject) -> (CollectionDescription, CollectionDescription, CollectionName) {
    (subject.create(4).await, subject.create(4).await, subject.new_name())
}

pub async fn an_alias_describes_what_it_points_at_and_moves_in_one_step(subject: &Subject) {
    if !subject.aliases {
        return;
    }
    let (one, other, alias) = two(subject).await;
    let index = &*subject.index;
    assert_eq!(behind(index, &alias).await, None);
    for collection in [&one, &other, &other] {
        index.set_alias(&alias, &collection.name).await.unwrap();
        assert_eq!(behind(index, &alias).await.as_ref(), Some(&collection.name));
        assert_eq!(index.aliases().await.unwrap().get(&alias), Some(&collection.name));
    }
    assert!(
        !index.list().await.unwrap().contains(&alias),
        "an alias is no collection"
    );
    for _ in 0..2 {
        index.drop_alias(&alias).await.unwrap();
        assert_eq!(behind(index, &alias).await, None);
    }
    subject.drop(&one.name).await;
    subject.drop(&other.name).await;
}

pub async fn an_alias_takes_no_collections_name_and_holds_its_collection(subject: &Subject) {
    if !subject.aliases {
        return;
    }
    let (one, other, alias) = two(subject).await;
    let index = &*subject.index;
    let taken = index.set_alias(&other.name, &one.name).await;
    assert!(matches!(taken, Err(IndexError::Conflict { .. })), "{taken:?}");
    let to_nothing = index.set_alias(&alias, &subject.new_name()).await;
    assert!(matches!(to_nothing, Err(IndexError::NoCollection(_))), "{to_nothing:?}");
    index.set_alias(&alias, &one.name).await.unwrap();
    let to_an_alias = index.set_alias(&subject.new_name(), &alias).await;
    assert!(
        matches!(to_an_alias, Err(IndexError::NoCollection(_))),
        "{to_an_alias:?}"
    );
    let mut named_so = one.clone();
    named_so.name = alias.clone();
    let created = index.create(&named_so).await;
    assert!(matches!(created, Err(IndexError::Conflict { .. })), "{created:?}");
    let Err(IndexError::Refused { message, .. }) = index.drop_collection(&one.name).await else {
        panic!("a collection went that an alias points at");
    };
    assert!(message.contains(alias.as_str()), "{message}");
    index.drop_collection(&alias).await.unwrap();
    assert_eq!(
        behind(index, &one.name).await.as_ref(),
        Some(&one.name),
        "dropped by its alias"
    );
    index.drop_alias(&alias).await.unwrap();
    subject.drop(&one.name).await;
    subject.drop(&other.name).await;
}

pub async fn rows_are_neither_written_nor_read_under_an_alias(subject: &Subject) {
    if !subject.aliases {
        return;
    }
    let (one, alias) = (subject.create(4).await, subject.new_name());
    let index = &*subject.index;
    index.set_alias(&alias, &one.name).await.unwrap();
    let row = fixture::row(1, &subject.fields, 4);
    let written = index.upsert(&alias, &[row]).await;
    assert!(matches!(written, Err(IndexError::NoCollection(_))), "{written:?}");
    let counted = index.count(&alias, None).await;
    assert!(matches!(counted, Err(IndexError::NoCollection(_))), "{counted:?}");
    assert_eq!(index.count(&one.name, None).await.unwrap(), 0);
    index.drop_alias(&alias).await.unwrap();
    subject.drop(&one.name).await;
}

pub async fn an_index_without_aliases_says_so(subject: &Subject) {
    if subject.aliases {
        return;
    }
    let (one, alias) = (subject.create(4).await, subject.new_name());
    let set = subject.index.set_alias(&alias, &one.name).await;
    assert!(matches!(set, Err(IndexError::Refused { .. })), "{set:?}");
    assert!(subject.index.aliases().await.unwrap().is_empty());
    subject.index.drop_alias(&alias).await.unwrap();
    subject.drop(&one.name).await;
}

pub async fn a_collection_that_was_released_answers_again_when_it_is_loaded(subject: &Subject) {
    let one = subject.create(4).await;
    let index = &*subject.index;
    let row = fixture::row(1, &subject.fields, 4);
    index.upsert(&one.name, &[row]).await.unwrap();
    assert!(index.is_loaded(&one.name).await.unwrap());
    index.release(&one.name).await.unwrap();
    let row = fixture::row(2, &subject.fields, 4);
    index.upsert(&one.name, &[row]).await.unwrap();
    index.load(&one.name).await.unwrap();
    assert!(index.is_loaded(&one.name).await.unwrap());
    assert_eq!(index.count(&one.name, None).await.unwrap(), 2);
    subject.drop(&one.name).await;
}
