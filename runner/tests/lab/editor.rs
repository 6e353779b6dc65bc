// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an editor shows of our schema: a real yaml-language-server, spoken to as an editor speaks to it (LSP), on a real scenario.
//!
//! It is an npm package.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, OnceLock},
};

use serde_json::{Value, json};

use crate::{
    NotTested, Test, Tested,
    common::{text, top},
    tests,
};

pub const TESTS: &[Test] = tests![
    of_every_key_its_own_text_an_example_and_its_default_are_shown,
    a_key_is_explained_whatever_stands_behind_it,
    keys_and_values_are_offered_where_they_fit,
    every_key_is_offered_with_its_text_where_it_stands,
    a_mistake_is_underlined_while_one_types_and_our_own_scenario_is_not,
    an_inventory_is_explained_completed_and_checked_as_scenarios_are,
];

/// An inventory with every key of its own.
const INVENTORY: &str = r#"# yaml-language-server: $schema=../schemas/inventory.schema.json
summary: The machines in the basement.
vars:
  size: 2MiB
must_run:
  - kernel.dma_mapping.*
known_issues:
  - cases:
      - kernel.dma_mapping.iommufd__*
    owner: lab@example.org
    when: "{{ backend == 'iommufd' }}"
    message: timed out
    reason: the card's firmware answers resets late
    link: https://bugs.example.org/4711
    until: 2099-12-31
hosts:
  rack1:
    summary: The one with AMD's IOMMU.
    hostname: rack1.lab.example.org
    backends:
      - iommufd
    vars:
      size: 4MiB
    must_run:
      - kernel.dma_mapping.*
    known_issues:
      - cases:
          - map_all
        owner: lab@example.org
        reason: it is slow
        until: 2099-12-31
    devices:
      nic:
        summary: The card that DMA goes through most.
        address: "0000:03:00.0"
        optional: true
      disk:
        serial: 00-1b-21-ff-ff-aa-bb-cc
        function: 1
        is:
          ids: ["8086:10c9"]
      second:
        mac: "00:1b:21:aa:bb:cc"
      third:
        slot: "3"
"#;

/// The version that is tried; a newer one should do as well.
const SERVER: &str = "yaml-language-server@1.25.0";

/// The server's program, installed in the tests' own folder the first time.
fn program() -> Result<&'static Path, NotTested> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let installed = PROGRAM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("yaml-language-server");
        let program = folder.join("node_modules/yaml-language-server/bin/yaml-language-server");
        if program.is_file() {
            return Ok(program);
        }
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(&folder).arg(SERVER);
        let output = npm.output().map_err(|error| format!("npm does not start: {error}"))?;
        if output.status.success() && program.is_file() {
            Ok(program)
        } else {
            Err(format!("npm install {SERVER} failed:\n{}", text(&output.stderr)))
        }
    });
    installed.as_deref().map_err(|reason| NotTested::because(reason.as_str()))
}

/// The server, as an editor holds it.
struct Server {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    requests: u64,
    /// What it said about files without being asked.
    diagnostics: Vec<Value>,
}

impl Server {
    fn start(program: &Path) -> Server {
        let mut child = Command::new("node")
            .arg(program)
            .arg("--stdio")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null()) // it complains when the tests end, and it with them
            .spawn()
            .expect("node is where npm is");
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut server = Server { child, input, output, requests: 0, diagnostics: Vec::new() };
        let capabilities = json!({
            "textDocument": { "completion": { "completionItem": { "snippetSupport": true } }, "hover": { "contentFormat": ["markdown"] },
                "documentSymbol": { "hierarchicalDocumentSymbolSupport": true } },
            "workspace": { "configuration": true },
        });
        server.ask("initialize", json!({ "processId": null, "rootUri": null, "capabilities": capabilities }));
        server.tell("initialized", json!({}));
        server
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        write!(self.input, "Content-Length: {}\r\n\r\n{text}", text.len()).expect("the server listens");
        self.input.flush().expect("the server listens");
    }

    fn tell(&mut self, method: &str, parameters: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": parameters }));
    }

    /// One message of the server. What it wants to know meanwhile is answered as an editor without settings does.
    fn hear(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).expect("the server speaks"), 0, "the server ended");
            match line.trim() {
                "" => break,
                header => {
                    if let Some(value) = header.strip_prefix("Content-Length: ") {
                        length = value.parse().expect("a length");
                    }
                }
            }
        }
        let mut text = vec![0; length];
        self.output.read_exact(&mut text).expect("the server speaks");
        let message: Value = serde_json::from_slice(&text).expect("JSON");
        if message["method"] == "textDocument/publishDiagnostics" {
            self.diagnostics.push(message["params"].clone());
        }
        if message["id"].is_null() || message["method"].is_null() {
            return message;
        }
        let settings =
            json!({ "validate": true, "hover": true, "completion": true, "schemaStore": { "enable": false } });
        let result = match message["method"].as_str() {
            Some("workspace/configuration") => {
                let items = message["params"]["items"].as_array().cloned().unwrap_or_default();
                let section = |item: &Value| if item["section"] == "yaml" { settings.clone() } else { Value::Null };
                items.iter().map(section).collect()
            }
            _ => Value::Null,
        };
        self.send(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }));
        message
    }

    fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.requests += 1;
        let id = self.requests;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": parameters }));
        loop {
            let answer = self.hear();
            if answer["id"] == id && answer["method"].is_null() {
                assert!(answer["error"].is_null(), "{answer}");
                return answer["result"].clone();
            }
        }
    }

    fn open(&mut self, uri: &str, text: &str) {
        let document = json!({ "uri": uri, "languageId": "yaml", "version": 1, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": document }));
    }

    /// The keys of a document, each with the path to it and its place.
    fn keys(&mut self, uri: &str) -> Vec<(Vec<String>, (usize, usize))> {
        fn collect(symbols: &Value, above: &[String], keys: &mut Vec<(Vec<String>, (usize, usize))>) {
            for symbol in symbols.as_array().into_iter().flatten() {
                let mut path = above.to_vec();
                path.push(symbol["name"].as_str().expect("a name").to_owned());
                let start = &symbol["selectionRange"]["start"];
                let number = |key: &str| usize::try_from(start[key].as_u64().expect("a number")).expect("small");
                collect(&symbol["children"], &path, keys);
                keys.push((path, (number("line"), number("character"))));
            }
        }
        let symbols = self.ask("textDocument/documentSymbol", json!({ "textDocument": { "uri": uri } }));
        let mut keys = Vec::new();
        collect(&symbols, &[], &mut keys);
        keys
    }

    fn at(&mut self, method: &str, uri: &str, position: (usize, usize)) -> Value {
        let position = json!({ "line": position.0, "character": position.1 });
        self.ask(method, json!({ "textDocument": { "uri": uri }, "position": position }))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server with a scenario of the repository open, and its address. It takes a second to start, so there is one for all tests.
fn with_scenario(test: impl FnOnce(&mut Server, &str)) -> Tested {
    static SERVER: OnceLock<Mutex<Server>> = OnceLock::new();
    let program = program()?;
    let mut server = SERVER
        .get_or_init(|| {
            let mut server = Server::start(program);
            server.open(&uri(), &scenario_text());
            Mutex::new(server)
        })
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    test(&mut server, &uri());
    Ok(())
}

fn scenario() -> PathBuf {
    top().join("scenarios/kernel/dma_mapping.yaml")
}

fn uri() -> String {
    format!("file://{}", scenario().display())
}

fn scenario_text() -> String {
    fs::read_to_string(scenario()).expect("readable")
}

/// The line and column (from 0) where a word first stands in the scenario.
fn place(word: &str) -> (usize, usize) {
    let text = scenario_text();
    let found = text.lines().enumerate().find_map(|(line, text)| Some((line, text.find(word)?)));
    found.unwrap_or_else(|| panic!("{word} is not in the scenario"))
}

/// Scenarios and a pack that use most of the language.
const WHOLE: [&str; 8] = [
    "scenarios/kernel/dma_mapping.yaml",
    "scenarios/kernel/iommufd_file.yaml",
    "scenarios/kernel/pci_sriov_uapi.yaml",
    "scenarios/uapi/dma.yaml",
    "scenarios/uapi/interrupts.yaml",
    "scenarios/uapi/iommufd_requests.yaml",
    "scenarios/uapi/unmap.yaml",
    "scenarios/vendor/intel-82576/pack.yaml",
];

/// The schema of a file.
fn schema_of(file: &str) -> Value {
    match file.ends_with("pack.yaml") {
        true => vfiospec::language::pack_schema(),
        false if file.ends_with(vfiospec::language::MACHINE) => vfiospec::language::machine_schema(),
        false => vfiospec::language::schema(),
    }
}

/// What the schema says of the key that a path leads to; nothing of an element of a list, and of what an author named.
fn told<'s>(schema: &'s Value, path: &[String]) -> Option<&'s Value> {
    fn choices<'s>(all: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
        let referred = schema["$ref"].as_str().and_then(|name| all["definitions"].get(name.rsplit('/').next()?));
        let within = ["allOf", "anyOf"].iter().filter_map(|of| schema[of].as_array()).flatten();
        std::iter::once(schema).chain(referred.into_iter().chain(within).flat_map(|one| choices(all, one))).collect()
    }
    let found = path.iter().fold(vec![schema], |here, name| {
        let all = here.into_iter().flat_map(|one| choices(schema, one));
        let inside = all.filter_map(|one| match name.parse::<usize>() {
            Ok(_) => one.get("items"),
            Err(_) => {
                one["properties"].get(name).or_else(|| one.get("additionalProperties").filter(|it| it.is_object()))
            }
        });
        inside.collect()
    });
    found.into_iter().find(|key| key["description"].is_string())
}

/// A key that the schema tells of, where it stands in a file.
struct Key {
    file: &'static str,
    path: Vec<String>,
    line: usize,
    column: usize,
    told: Value,
}

impl Key {
    /// The same for all places of the key in its file.
    fn shape(&self) -> String {
        let names = self.path.iter().map(String::as_str).filter(|name| name.parse::<usize>().is_err());
        format!("{} {}", self.file, names.collect::<Vec<_>>().join("."))
    }

    /// Whether what an editor shows begins with the key's own text.
    fn is_told_in(&self, shown: &str) -> bool {
        shown.replace('\\', "").starts_with(self.told["description"].as_str().unwrap_or_default())
    }

    fn place(&self) -> String {
        format!("{}:{}:{} {}", self.file, self.line + 1, self.column + 1, self.path.join("."))
    }
}

/// The file's address, its text, and the keys that the schema tells of.
fn whole(server: &mut Server, file: &'static str) -> (String, String, Vec<Key>) {
    let path = top().join(file);
    let (text, schema) = (fs::read_to_string(&path).expect("readable"), schema_of(file));
    let uri = format!("file://{}", path.display());
    server.open(&uri, &text);
    let keys = server.keys(&uri).into_iter().filter_map(|(path, (line, column))| {
        let told = told(&schema, &path)?.clone();
        Some(Key { file, path, line, column, told })
    });
    let keys = keys.collect();
    (uri, text, keys)
}

fn of_every_key_its_own_text_an_example_and_its_default_are_shown() -> Tested {
    with_scenario(|server, _| {
        let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
        for file in WHOLE {
            let (uri, _, keys) = whole(server, file);
            for key in keys {
                if !seen.insert(key.shape()) {
                    continue;
                }
                // Where the last key ends is where the first one begins, so not there.
                let hover = server.at("textDocument/hover", &uri, (key.line, key.column + 1));
                let shown = hover["contents"]["value"].as_str().unwrap_or_default();
                let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let default = key.told.get("default").map(|value| format!("Default: `{}`", text(value)));
                let has_default = default.is_none_or(|told| shown.replace('\\', "").contains(&told));
                if !key.is_told_in(shown) || !has_default || !shown.contains("Example:") {
                    wrong.push(format!("{}\n{shown}", key.place()));
                }
            }
        }
        assert!(seen.len() > 200, "{seen:#?}");
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), seen.len(), wrong.join("\n\n"));
    })
}

fn a_key_is_explained_whatever_stands_behind_it() -> Tested {
    let schema = vfiospec::language::schema();
    let path = ["cases", "0", "region", "size"].map(str::to_owned);
    let described = told(&schema, &path).and_then(|key| key["description"].as_str()).expect("the key is described");
    with_scenario(|server, _| {
        for (number, value) in ["16KiB", "4096", "2M", "\"{{ page }}\"", "\"{{ page\"", "", "[1]"].iter().enumerate() {
            let uri = format!("file://{}", scenario().with_file_name(format!("value{number}.yaml")).display());
            let (line, column) = place("size: \"{{ page }}\"");
            server.open(&uri, &scenario_text().replacen("size: \"{{ page }}\"", &format!("size: {value}"), 1));
            let hover = server.at("textDocument/hover", &uri, (line, column + 1));
            let shown = hover["contents"]["value"].as_str().unwrap_or_default();
            assert!(shown.replace('\\', "").starts_with(described), "{value}: {hover}");
            assert!(shown.contains("Example"), "{value}: {hover}");
        }
    })
}

fn keys_and_values_are_offered_where_they_fit() -> Tested {
    with_scenario(|server, _| {
        let text = scenario_text();
        let (line, _) = place("- name: map_unmap");
        let offered = |server: &mut Server, added: &str, name: &str| -> Vec<String> {
            // A line more in the first case, as it is while one types.
            let mut lines: Vec<&str> = text.lines().collect();
            lines.insert(line + 1, added);
            let uri = format!("file://{}", scenario().with_file_name(name).display());
            server.open(&uri, &(lines.join("\n") + "\n"));
            let list = server.at("textDocument/completion", &uri, (line + 1, added.len()));
            let items = list["items"].as_array().or(list.as_array()).cloned().unwrap_or_default();
            items.iter().map(|item| item["label"].as_str().unwrap_or_default().to_owned()).collect()
        };
        let keys = offered(server, "    ", "keys.yaml");
        for key in ["tags", "timeout", "fixture", "kernel_log", "steps"] {
            assert!(keys.contains(&key.to_owned()), "{key}: {keys:?}");
        }
        assert!(!keys.contains(&"cases".to_owned()), "{keys:?}");
        let values = offered(server, "    fixture: ", "values.yaml");
        assert!(values.contains(&"shared".to_owned()) && values.contains(&"fresh".to_owned()), "{values:?}");
    })
}

fn every_key_is_offered_with_its_text_where_it_stands() -> Tested {
    with_scenario(|server, _| {
        let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
        for file in WHOLE {
            let (_, text, keys) = whole(server, file);
            let lines: Vec<&str> = text.lines().collect();
            for key in keys {
                let before = &lines[key.line][..key.column];
                // In a flow mapping the server offers little.
                if before.contains(['{', '[', '#']) || !seen.insert(key.shape()) {
                    continue;
                }
                // The file as it is while the key's first letter is typed.
                let name = key.path.last().expect("a name");
                let typed = format!("{before}{}", &name[..1]);
                let as_typed = format!("{}\n{typed}\n", lines[..key.line].join("\n"));
                let here = top().join(file).with_file_name(format!("typed{}.yaml", seen.len()));
                let uri = format!("file://{}", here.display());
                server.open(&uri, &as_typed);
                let list = server.at("textDocument/completion", &uri, (key.line, typed.len()));
                let items = list["items"].as_array().or(list.as_array()).cloned().unwrap_or_default();
                let item = items.iter().find(|item| item["label"] == **name);
                let text = item.map(|item| match &item["documentation"] {
                    Value::String(text) => text.clone(),
                    markup => markup["value"].as_str().unwrap_or_default().to_owned(),
                });
                if !text.as_ref().is_some_and(|text| key.is_told_in(text)) {
                    wrong.push(format!("{} {text:?}", key.place()));
                }
            }
        }
        assert!(seen.len() > 50, "{seen:#?}");
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), seen.len(), wrong.join("\n"));
    })
}

fn an_inventory_is_explained_completed_and_checked_as_scenarios_are() -> Tested {
    let schema = vfiospec::language::inventory_schema();
    let uri = |name: &str| format!("file://{}", top().join("scenarios").join(name).display());
    with_scenario(|server, _| {
        let lines: Vec<&str> = INVENTORY.lines().collect();
        server.open(&uri("lab.yaml"), INVENTORY);
        let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
        for (path, (line, column)) in server.keys(&uri("lab.yaml")) {
            let Some(told) = told(&schema, &path) else { continue };
            let (name, described) = (path.last().expect("a name"), told["description"].as_str().unwrap_or_default());
            seen.insert(name.clone());
            let hover = server.at("textDocument/hover", &uri("lab.yaml"), (line, column + 1));
            let shown = hover["contents"]["value"].as_str().unwrap_or_default();
            if !shown.replace('\\', "").starts_with(described) || !shown.contains("Example:") {
                wrong.push(format!("{} is not explained: {shown}", path.join(".")));
            }
            // As it is while the key's first letter is typed.
            let typed = format!("{}{}", &lines[line][..column], &name[..1]);
            let here = uri(&format!("lab{line}.yaml"));
            server.open(&here, &format!("{}\n{typed}\n", lines[..line].join("\n")));
            let list = server.at("textDocument/completion", &here, (line, typed.len()));
            let items = list["items"].as_array().or(list.as_array()).cloned().unwrap_or_default();
            if !items.iter().any(|item| item["label"] == **name) {
                wrong.push(format!("{} is not offered", path.join(".")));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        for name in [
            "must_run",
            "known_issues",
            "hosts",
            "hostname",
            "devices",
            "serial",
            "mac",
            "slot",
            "function",
            "owner",
            "until",
        ] {
            assert!(seen.contains(name), "{name}: {seen:?}");
        }
        server.open(&uri("wrong-lab.yaml"), &INVENTORY.replacen("must_run:", "must_rnu:", 1));
        assert!(said(server, &uri("wrong-lab.yaml")).to_string().contains("must_rnu"));
        assert_eq!(said(server, &uri("lab.yaml")), json!([]));
    })
}

/// What the server has underlined in a document.
fn said(server: &mut Server, uri: &str) -> Value {
    loop {
        let found = server.diagnostics.iter().rev().find(|found| found["uri"] == uri);
        if let Some(found) = found {
            return found["diagnostics"].clone();
        }
        server.hear();
    }
}

fn a_mistake_is_underlined_while_one_types_and_our_own_scenario_is_not() -> Tested {
    with_scenario(|server, _| {
        let wrong = format!("file://{}", scenario().with_file_name("wrong.yaml").display());
        server.open(&wrong, &scenario_text().replacen("matrix:", "matirx:", 1));
        let value = format!("file://{}", scenario().with_file_name("value.yaml").display());
        server.open(&value, &scenario_text().replacen("backends:", "fixture: frash\nbackends:", 1));
        let right = format!("file://{}", scenario().with_file_name("right.yaml").display());
        server.open(&right, &scenario_text());
        let told = said(server, &wrong).to_string();
        assert!(told.contains("matirx"), "{told}");
        let told = said(server, &value).to_string();
        assert!(told.contains("fresh"), "{told}");
        assert_eq!(said(server, &right), json!([]));
    })
}
