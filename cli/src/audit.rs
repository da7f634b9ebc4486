//! `sightline runs verify`: the audit of a run, and the run that repairs it.

use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::servers::Servers;
use crate::text::{count, plain, resource};
use crate::{ingest, json};
use clap::Args;
use sightline_proto::v1;

/// Of a run that was stopped while its dataset was listed.
const UNLISTED: &str = "  the dataset was not listed to its end: what the run never came to is in no number here, nor in a repair; \
                        ingest the dataset again";

/// Of what a repair cannot mend.
const SURPLUS_STAYS: &str = "the rows that belong to no item stay: a repair deletes nothing; `sightline ingest --mirror` \
                             deletes what the dataset does not hold";

/// Which run, and what is done about what is found.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 the run is verified, or its repair succeeded; 3 something is wrong, was never \
                  listed, or is beyond a repair; 4 its repair failed or was cancelled; 2 wrong usage; 1 any other \
                  failure."
)]
pub(crate) struct VerifyArgs {
    /// Its id, or runs/ID.
    run: String,
    /// Where something is wrong, make a run of just those items, and watch it.
    #[arg(long)]
    repair: bool,
    /// Your name for the repair: repeating it finds the run that it made. Random by default.
    #[arg(long, value_name = "ID", requires = "repair")]
    request_id: Option<String>,
}

/// Audits a run.
pub(crate) async fn run(args: &VerifyArgs, servers: &Servers, console: Console) -> Outcome {
    let name = resource("runs", &args.run);
    let audit = audit(&name, servers, console).await?;
    if console.is_json() {
        console.json(&json::of(&audit)?)?;
    } else {
        console.say(&text(&audit))?;
    }
    let nothing_to_mend = audit.verified && (audit.unprocessed_items == 0 || !args.repair);
    if nothing_to_mend && audit.plan_complete {
        return Ok(Exit::Success);
    }
    // What was never listed no repair finds.
    if nothing_to_mend || !args.repair {
        return Ok(Exit::Partial);
    }
    let request = v1::RepairRunRequest {
        name,
        request_id: args.request_id.clone().unwrap_or_else(ingest::random_id),
    };
    let answer = servers.coordinator().await?.repair_run(request).await;
    let run = answer
        .map_err(|status| CliError::call("repair the run", &status))?
        .into_inner();
    let ended = ingest::created(&run, false, servers, console).await?;
    if audit.surplus_rows > 0 && matches!(ended, Exit::Success) {
        console.note(SURPLUS_STAYS);
        return Ok(Exit::Partial);
    }
    Ok(ended)
}

async fn audit(name: &str, servers: &Servers, console: Console) -> Result<v1::RunAudit, CliError> {
    let failed = |status: tonic::Status| CliError::call("verify the run", &status);
    let request = v1::VerifyRunRequest { name: name.to_owned() };
    let mut told = servers
        .coordinator()
        .await?
        .verify_run(request)
        .await
        .map_err(failed)?
        .into_inner();
    while let Some(message) = told.message().await.map_err(failed)? {
        match message.audit {
            Some(audit) => return Ok(audit),
            None => console.note(&format!(
                "compared {} of {} shards",
                count(message.checked_shards),
                count(message.total_shards)
            )),
        }
    }
    Err(CliError::Failed(
        "the coordinator ended before the audit did: verify again".into(),
    ))
}

fn text(audit: &v1::RunAudit) -> String {
    let counts = audit.counts.unwrap_or_default();
    let mut lines = vec![format!(
        "{}: {} items: {} indexed, {} unchanged, {} skipped, {} failed",
        if audit.verified { "verified" } else { "NOT verified" },
        count(audit.items),
        count(counts.indexed),
        count(counts.unchanged),
        count(counts.skipped),
        count(counts.failed)
    )];
    let findings = [
        (audit.unprocessed_items, "items were not processed"),
        (audit.missing_outcomes, "items have no outcome in their shard's result"),
        (audit.missing_rows, "items have no row in the index"),
        (
            audit.wrong_rows,
            "rows are of another version of their item than recorded",
        ),
        (
            audit.surplus_rows,
            "rows of this run belong to no item of it, or are there twice",
        ),
        (
            audit.superseded_rows,
            "rows were written anew by a later run, or for another plan of this one (no problem)",
        ),
        (
            audit.repeated_keys,
            "items share their key with another item of the run",
        ),
    ];
    if !audit.plan_complete {
        lines.push(UNLISTED.to_owned());
    }
    let found = findings.into_iter().filter(|(number, _)| *number > 0);
    lines.extend(found.map(|(number, what)| format!("  {} {what}", count(number))));
    let listed = audit.problems.iter();
    lines.extend(listed.map(|problem| format!("  {}  {}", plain(&problem.problem), plain(&problem.key))));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_names_only_what_it_found() {
        let clean = v1::RunAudit {
            verified: true,
            plan_complete: true,
            items: 1200,
            counts: Some(v1::run::Counts {
                indexed: 1200,
                ..v1::run::Counts::default()
            }),
            ..v1::RunAudit::default()
        };
        assert_eq!(
            text(&clean),
            format!(
                "verified: {} items: {} indexed, 0 unchanged, 0 skipped, 0 failed",
                count(1200),
                count(1200)
            )
        );
        let spoiled = v1::RunAudit {
            plan_complete: true,
            missing_rows: 1,
            problems: vec![v1::AuditProblem {
                key: "a.png".into(),
                problem: "missing_row".into(),
                shard: "s".into(),
            }],
            ..v1::RunAudit::default()
        };
        let cut_short = v1::RunAudit {
            plan_complete: false,
            ..clean.clone()
        };
        assert!(text(&cut_short).contains("not listed to its end"), "{cut_short:?}");
        let shown = text(&spoiled);
        assert!(shown.starts_with("NOT verified"), "{shown}");
        assert!(
            shown.ends_with("1 items have no row in the index\n  missing_row  a.png"),
            "{shown}"
        );
    }
}
