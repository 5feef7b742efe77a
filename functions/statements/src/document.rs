//! A monthly statement as a document.

use chrono::{Days, NaiveDate};
use scrip_documents::{Document, Fact, Footer};

use super::figures::{money, number};
use super::sections;
use super::statement::MonthlyStatement;

/// The document of a statement. It says the same as the statement, and follows from it alone.
pub(crate) fn document(statement: &MonthlyStatement) -> Document {
    let mut sections = vec![sections::balance(statement)];
    sections.extend(sections::beside(statement));
    sections.push(sections::usage(&statement.usage));
    sections.push(sections::changes(&statement.buckets));
    sections.push(sections::proof(statement));
    Document {
        title: "Credit statement".to_owned(),
        subtitle: format!("{}, {}", statement.organisation, month_name(statement)),
        dated: statement.month.next().start(),
        facts: facts(statement),
        sections,
        footer: Footer {
            number: format!("Statement {}", statement.number),
            hash: format!("SHA-256 {}", statement.hash),
        },
    }
}

fn month_name(statement: &MonthlyStatement) -> String {
    statement.month.start().format("%B %Y").to_string()
}

fn facts(statement: &MonthlyStatement) -> Vec<Fact> {
    let day = |day: NaiveDate| day.format("%-d %B %Y").to_string();
    let first = statement.month.start().date_naive();
    let next = statement.month.next().start().date_naive();
    let last = next.checked_sub_days(Days::new(1)).unwrap_or(next);
    let paid: Vec<_> = statement.purchases.paid.iter().map(money).collect();
    let bought = match statement.purchases.count {
        0 => "None".to_owned(),
        count => {
            let word = if count == 1 { "purchase" } else { "purchases" };
            let paid = if paid.is_empty() { "an unrecorded price".to_owned() } else { paid.join(", ") };
            format!("{count} {word}, {} credits for {paid}", number(statement.purchases.credits))
        }
    };
    let ledger = if statement.livemode { "Live" } else { "Test: no real credits" };
    vec![
        Fact::new("Organisation", format!("{}\n{}", statement.organisation, statement.organisation_id)),
        Fact::new("Statement", statement.number.clone()),
        Fact::new("Period", format!("{} to {} (UTC)", day(first), day(last))),
        Fact::new("Ledger", ledger),
        Fact::new("Opening balance", number(statement.balance.opening)),
        Fact::new("Closing balance", number(statement.balance.closing)),
        Fact::new("Usage", format!("{} credits", number(statement.usage.total.credits))),
        Fact::new("Cost of usage", money(&statement.usage.total.cost)),
        Fact::new("Purchases", bought),
        Fact::new("Transactions", number(i64::try_from(statement.transactions).unwrap_or(i64::MAX))),
    ]
}
