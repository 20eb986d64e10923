//! Users, what they prove themselves with, and what they did.

use std::sync::Arc;

use serde_json::json;
use towpath_common::port::{AuditFilter, Store};
use towpath_common::user::{AuditEntry, Credential, CredentialKind, Role, Roles, User};
use uuid::Uuid;

use super::{Ids, RandomIds, at};

fn user(name: &str) -> User {
    User {
        name: name.to_owned(),
        password_hash: Some("hash".to_owned()),
        subject: Some(format!("issuer|{name}")),
        roles: Roles([("east".to_owned(), Role::Operator)].into()),
        disabled: false,
        created_at: at(1),
    }
}

fn credential(user: &str, kind: CredentialKind, hash: &str, expires: i64) -> Credential {
    Credential {
        id: RandomIds.uuid(),
        kind,
        user: user.to_owned(),
        hash: hash.to_owned(),
        name: "n".to_owned(),
        role_max: Role::Viewer,
        created_at: at(expires - 10),
        expires_at: at(expires),
    }
}

pub async fn users_go_with_all_that_proves_them(store: Arc<dyn Store>) {
    for name in ["bob", "ann"] {
        store.put_user(&user(name)).await.expect("kept");
    }
    let changed = User { disabled: true, password_hash: None, created_at: at(9), ..user("ann") };
    store.put_user(&changed).await.expect("kept");
    let ann = User { created_at: at(1), ..changed };
    assert_eq!(store.user("ann").await.expect("reads"), Some(ann.clone()));
    assert_eq!(store.users().await.expect("reads"), [ann.clone(), user("bob")]);
    let found = store.user_by_subject("issuer|ann").await.expect("reads");
    assert_eq!(found, Some(ann.clone()));
    let taken = User { subject: Some("issuer|other".into()), ..user("ann") };
    assert!(!store.add_user(&taken).await.expect("answers"), "the name is another's");
    let twin = User { name: "eve".into(), ..ann.clone() };
    assert!(!store.add_user(&twin).await.expect("answers"), "the subject is another's");
    assert_eq!(store.user("ann").await.expect("reads"), Some(ann.clone()), "as it was");
    assert!(store.add_user(&user("eve")).await.expect("added"));
    let roles = Roles::everywhere(Role::Operator);
    assert!(store.set_roles("eve", &roles).await.expect("set"));
    assert!(!store.set_roles("nobody", &roles).await.expect("answers"));
    assert_eq!(store.user("eve").await.expect("reads"), Some(User { roles, ..user("eve") }));
    assert!(store.delete_user("eve").await.expect("deleted"));
    let (token, session) = (CredentialKind::Token, CredentialKind::Session);
    let kept = [
        credential("ann", token, "1", 20),
        credential("ann", session, "2", 30),
        credential("bob", token, "3", 40),
    ];
    for one in &kept {
        store.put_credential(one).await.expect("kept");
    }
    assert_eq!(store.credential("1").await.expect("reads"), Some((kept[0].clone(), ann)));
    assert_eq!(store.credential("9").await.expect("reads"), None);
    let tokens = store.credentials(None, token).await.expect("reads");
    assert_eq!(tokens, [kept[2].clone(), kept[0].clone()], "the newest first");
    let own = store.credentials(Some("ann"), session).await.expect("reads");
    assert_eq!(own, [kept[1].clone()]);
    assert_eq!(store.forget_expired(at(25)).await.expect("forgets"), 1);
    assert!(store.delete_user("ann").await.expect("deletes"));
    assert!(!store.delete_user("ann").await.expect("answers"), "there is none any more");
    assert_eq!(store.credential("2").await.expect("reads"), None, "it went with its user");
    assert!(store.delete_credential(kept[2].id).await.expect("deletes"));
    assert!(!store.delete_credential(kept[2].id).await.expect("answers"));
}

pub async fn the_audit_log_is_read_backwards(store: Arc<dyn Store>) {
    let entry = |number: u8, who: &str, subject: &str| AuditEntry {
        id: Uuid::from_bytes([number; 16]),
        at: at(number.into()),
        who: who.to_owned(),
        action: "dag.pause".to_owned(),
        team: Some("east".to_owned()),
        dag_id: subject.strip_prefix("dag/").and_then(|name| name.parse().ok()),
        subject: subject.to_owned(),
        before: json!(null),
        after: json!({ "paused": true }),
    };
    let all = [
        entry(1, "ann", "dag/a"),
        entry(2, "bob", "dag/A"),
        entry(3, "ann", "dag/a%"),
        entry(4, "ann", "run/x"),
    ];
    for one in &all {
        store.audit(one).await.expect("kept");
    }
    let check = async |filter: AuditFilter, expected: &[usize]| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.audit_page(&filter, after, 1).await.expect("reads");
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            found.extend(page);
        }
        let expected: Vec<AuditEntry> = expected.iter().map(|place| all[*place].clone()).collect();
        assert_eq!(found, expected, "{filter:?}");
    };
    let every = AuditFilter::default;
    check(every(), &[3, 2, 1, 0]).await;
    check(AuditFilter { who: Some("ann".into()), ..every() }, &[3, 2, 0]).await;
    check(AuditFilter { subject: Some("dag/a".into()), ..every() }, &[2, 0]).await;
    check(AuditFilter { subject: Some("dag/a%".into()), ..every() }, &[2]).await;
    check(AuditFilter { from: Some(at(2)), to: Some(at(3)), ..every() }, &[2, 1]).await;
    check(AuditFilter { action: Some("run.clear".into()), ..every() }, &[]).await;
    check(AuditFilter { dag_id: "a".parse().ok(), ..every() }, &[0]).await;
}
