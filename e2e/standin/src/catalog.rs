//! Databases and tables: creating, describing, listing, changing and deleting them.
//!
//! Source: the pages `API_CreateDatabase`, `API_CreateTable`, `API_DescribeDatabase`,
//! `API_DescribeTable`, `API_ListDatabases`, `API_ListTables`, `API_UpdateTable`,
//! `API_DeleteTable`, `API_DeleteDatabase`, and "Quotas" for names, retention and rates.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Value as Json, json};

use crate::aws_json::ApiError;
use crate::model::ResourceCall;
use crate::table::{Retention, Table};

/// Most items of a page of a list.
const PAGE_MAX: usize = 20;
/// Calls per second of an account ("Quotas"): those that change, and those that look.
const CHANGES_PER_SECOND: usize = 1;
const LOOKS_PER_SECOND: usize = 5;

/// One database.
#[derive(Debug)]
struct Database {
    created_ns: i64,
    tables: BTreeMap<String, Table>,
}

/// All databases.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    databases: BTreeMap<String, Database>,
    /// Whether the rates of calls about databases and tables are enforced.
    is_rate_limited: bool,
    change_times_ns: Vec<i64>,
    look_times_ns: Vec<i64>,
}

impl Catalog {
    /// An empty catalogue; `is_rate_limited` enforces the account's rates of calls.
    pub(crate) fn new(is_rate_limited: bool) -> Self {
        Self { is_rate_limited, ..Self::default() }
    }

    /// Carries out one operation; `None` if it is not one of a catalogue's.
    pub(crate) fn call(
        &mut self,
        operation: &str,
        call: &ResourceCall,
        now_ns: i64,
    ) -> Option<Result<Json, ApiError>> {
        let is_change = ["Create", "Update", "Delete"].iter().any(|p| operation.starts_with(p));
        let handle = match operation {
            "CreateDatabase" => Self::create_database,
            "CreateTable" => Self::create_table,
            "DescribeDatabase" => Self::describe_database,
            "DescribeTable" => Self::describe_table,
            "ListDatabases" => Self::list_databases,
            "ListTables" => Self::list_tables,
            "UpdateTable" => Self::update_table,
            "DeleteTable" => Self::delete_table,
            "DeleteDatabase" => Self::delete_database,
            _ => return None,
        };
        if self.is_rate_limited && self.is_too_fast(is_change, now_ns) {
            return Some(Err(ApiError::throttled()));
        }
        Some(handle(self, call, now_ns))
    }

    /// A table by names.
    pub(crate) fn table(&self, database: &str, table: &str) -> Option<&Table> {
        self.databases.get(database)?.tables.get(table)
    }

    /// A table by names, to write to it.
    pub(crate) fn table_mut(
        &mut self,
        database: &str,
        table: &str,
    ) -> Result<&mut Table, ApiError> {
        let database = self.databases.get_mut(database).ok_or_else(|| missing("database"))?;
        database.tables.get_mut(table).ok_or_else(|| missing("table"))
    }

    /// All tables with their databases' and their own names.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&str, &str, &Table)> {
        self.databases.iter().flat_map(|(database, it)| {
            it.tables.iter().map(move |(name, table)| (database.as_str(), name.as_str(), table))
        })
    }

    /// All tables, to change them.
    pub(crate) fn tables_mut(&mut self) -> impl Iterator<Item = &mut Table> {
        self.databases.values_mut().flat_map(|database| database.tables.values_mut())
    }

    /// Makes a table, and its database if need be.
    pub(crate) fn ensure(
        &mut self,
        database: &str,
        table: &str,
        retention: Retention,
        now_ns: i64,
    ) {
        let database = self.databases.entry(database.to_owned());
        let database =
            database.or_insert_with(|| Database { created_ns: now_ns, tables: BTreeMap::new() });
        let table = database.tables.entry(table.to_owned());
        table.or_insert_with(|| Table::new(retention, now_ns));
    }

    fn create_database(&mut self, call: &ResourceCall, now_ns: i64) -> Result<Json, ApiError> {
        let name = new_name(call.database_name.as_deref(), "database")?;
        match self.databases.entry(name.to_owned()) {
            Entry::Occupied(_) => Err(ApiError::conflict("The database already exists.")),
            Entry::Vacant(free) => {
                let database = Database { created_ns: now_ns, tables: BTreeMap::new() };
                Ok(json!({"Database": database_json(name, free.insert(database))}))
            }
        }
    }

    fn create_table(&mut self, call: &ResourceCall, now_ns: i64) -> Result<Json, ApiError> {
        let database_name = name(call.database_name.as_deref(), "database")?;
        let table_name = new_name(call.table_name.as_deref(), "table")?;
        let retention = retention(call, Retention::default())?;
        let database = self.database_mut(database_name)?;
        match database.tables.entry(table_name.to_owned()) {
            Entry::Occupied(_) => Err(ApiError::conflict("The table already exists.")),
            Entry::Vacant(free) => {
                let table = free.insert(Table::new(retention, now_ns));
                Ok(json!({"Table": table_json(database_name, table_name, table)}))
            }
        }
    }

    fn describe_database(&mut self, call: &ResourceCall, _: i64) -> Result<Json, ApiError> {
        let name = name(call.database_name.as_deref(), "database")?;
        let database = self.database_mut(name)?;
        Ok(json!({"Database": database_json(name, database)}))
    }

    fn describe_table(&mut self, call: &ResourceCall, _: i64) -> Result<Json, ApiError> {
        let (database, table) = table_names(call)?;
        let found = self.table_mut(database, table)?;
        Ok(json!({"Table": table_json(database, table, found)}))
    }

    fn list_databases(&mut self, call: &ResourceCall, _: i64) -> Result<Json, ApiError> {
        let items = self.databases.iter();
        page(call, "Databases", items.map(|(name, it)| (name.as_str(), database_json(name, it))))
    }

    fn list_tables(&mut self, call: &ResourceCall, _: i64) -> Result<Json, ApiError> {
        let wanted = call.database_name.as_deref();
        if let Some(name) = wanted {
            self.database_mut(name)?;
        }
        let items = self.tables().filter(|(database, _, _)| wanted.is_none_or(|n| n == *database));
        let items = items.map(|(database, name, it)| {
            (format!("{database}/{name}"), table_json(database, name, it))
        });
        page(call, "Tables", items)
    }

    fn update_table(&mut self, call: &ResourceCall, _: i64) -> Result<Json, ApiError> {
        let (database, name) = table_names(call)?;
        let table = self.table_mut(database, name)?;
        table.retention = retention(call, table.retention)?;
        Ok(json!({"Table": table_json(database, name, table)}))
    }

    fn delete_table(&mut self, call: &ResourceCall, _: i64) -> Result<Json, ApiError> {
        let (database, table) = table_names(call)?;
        let removed = self.database_mut(database)?.tables.remove(table);
        removed.map(|_| json!({})).ok_or_else(|| missing("table"))
    }

    fn delete_database(&mut self, call: &ResourceCall, _: i64) -> Result<Json, ApiError> {
        let name = name(call.database_name.as_deref(), "database")?;
        if !self.database_mut(name)?.tables.is_empty() {
            return Err(ApiError::validation("The database must be empty to be deleted."));
        }
        self.databases.remove(name);
        Ok(json!({}))
    }

    fn database_mut(&mut self, name: &str) -> Result<&mut Database, ApiError> {
        self.databases.get_mut(name).ok_or_else(|| missing("database"))
    }

    /// Whether this call is one too many within the last second; refused calls do not count.
    fn is_too_fast(&mut self, is_change: bool, now_ns: i64) -> bool {
        let (times_ns, most) = if is_change {
            (&mut self.change_times_ns, CHANGES_PER_SECOND)
        } else {
            (&mut self.look_times_ns, LOOKS_PER_SECOND)
        };
        times_ns.retain(|time_ns| now_ns - time_ns < 1_000_000_000);
        let is_too_fast = times_ns.len() >= most;
        if !is_too_fast {
            times_ns.push(now_ns);
        }
        is_too_fast
    }
}

fn missing(what: &str) -> ApiError {
    ApiError::not_found(format!("The {what} does not exist."))
}

/// A name that a call refers to.
fn name<'a>(name: Option<&'a str>, what: &str) -> Result<&'a str, ApiError> {
    let name = name.filter(|name| !name.is_empty());
    name.ok_or_else(|| ApiError::validation(format!("The {what} name is required.")))
}

/// A name for something new: 3 to 256 bytes of letters, digits, `_`, `.` and `-`.
fn new_name<'a>(given: Option<&'a str>, what: &str) -> Result<&'a str, ApiError> {
    let name = name(given, what)?;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if (3..=256).contains(&name.len()) && name.bytes().all(is_allowed) {
        return Ok(name);
    }
    let text = format!("The {what} name must have 3 to 256 of the characters a-z A-Z 0-9 _ . -");
    Err(ApiError::validation(text))
}

fn table_names(call: &ResourceCall) -> Result<(&str, &str), ApiError> {
    let database = name(call.database_name.as_deref(), "database")?;
    Ok((database, name(call.table_name.as_deref(), "table")?))
}

/// The retention that a call asks for, over what is there.
fn retention(call: &ResourceCall, before: Retention) -> Result<Retention, ApiError> {
    let mut retention = before;
    if let Some(asked) = &call.retention_properties {
        let hours = asked.memory_store_retention_period_in_hours;
        let days = asked.magnetic_store_retention_period_in_days;
        let hours = hours.filter(|hours| (1..=8766).contains(hours));
        let days = days.filter(|days| (1..=73_000).contains(days));
        let (Some(hours), Some(days)) = (hours, days) else {
            let text =
                "The memory store keeps 1 to 8766 hours, the magnetic store 1 to 73000 days.";
            return Err(ApiError::validation(text));
        };
        (retention.memory_hours, retention.magnetic_days) = (hours, days);
    }
    if let Some(asked) = &call.magnetic_store_write_properties {
        retention.is_magnetic_write = asked.enable_magnetic_store_writes.unwrap_or_default();
    }
    Ok(retention)
}

/// One page of a sorted list; the token is the key of the last item.
fn page<K: AsRef<str>>(
    call: &ResourceCall,
    what: &str,
    items: impl Iterator<Item = (K, Json)>,
) -> Result<Json, ApiError> {
    let most = call.max_results.unwrap_or(PAGE_MAX);
    if !(1..=PAGE_MAX).contains(&most) {
        return Err(ApiError::validation("MaxResults must be 1 to 20."));
    }
    let after = call.next_token.as_deref().unwrap_or_default();
    let mut rest = items.filter(|(key, _)| key.as_ref() > after).peekable();
    let mut last = String::new();
    let mut taken = Vec::new();
    while taken.len() < most {
        let Some((key, item)) = rest.next() else {
            break;
        };
        key.as_ref().clone_into(&mut last);
        taken.push(item);
    }
    let mut page = json!({ what: taken });
    if rest.peek().is_some() {
        page["NextToken"] = last.into();
    }
    Ok(page)
}

fn database_json(name: &str, database: &Database) -> Json {
    json!({
        "Arn": arn(name),
        "DatabaseName": name,
        "TableCount": database.tables.len(),
        "CreationTime": seconds(database.created_ns),
        "LastUpdatedTime": seconds(database.created_ns),
    })
}

fn table_json(database: &str, name: &str, table: &Table) -> Json {
    let retention = &table.retention;
    json!({
        "Arn": format!("{}/table/{name}", arn(database)),
        "DatabaseName": database,
        "TableName": name,
        "TableStatus": "ACTIVE",
        "RetentionProperties": {
            "MemoryStoreRetentionPeriodInHours": retention.memory_hours,
            "MagneticStoreRetentionPeriodInDays": retention.magnetic_days,
        },
        "MagneticStoreWriteProperties": {
            "EnableMagneticStoreWrites": retention.is_magnetic_write,
        },
        "CreationTime": seconds(table.created_ns),
        "LastUpdatedTime": seconds(table.created_ns),
        "Schema": {"CompositePartitionKey": [{"Type": "MEASURE"}]},
    })
}

fn arn(database: &str) -> String {
    format!("arn:aws:timestream:us-east-1:000000000000:database/{database}")
}

/// Whole seconds since the epoch, as the protocol sends times.
fn seconds(time_ns: i64) -> i64 {
    time_ns / 1_000_000_000
}

#[cfg(test)]
mod tests;
