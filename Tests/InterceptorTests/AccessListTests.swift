import Contract
import Foundation
import Testing

@testable import Interceptor

/// What was touched is told completely, or as cut; and the JSON is JSON whatever names there are.
@Suite struct AccessListTests {
  private func json(_ classes: WardenClasses, _ accesses: [Lender.Access], scratch: Int = 65536) -> String? {
    let ring = TestRing()
    var record = ring.lender.record()
    record.statement = ring.lender.statement(classes, "X", accesses)
    guard ring.append(record) >= 0 else { return nil }
    return decode(ring.data, scratch: scratch)?["access"]
  }

  private func parsed(_ json: String?) throws -> [[String: Any]] {
    let data = Data(try #require(json).utf8)
    return try #require(try JSONSerialization.jsonObject(with: data) as? [[String: Any]])
  }

  struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let access: Lender.Access
    let json: String
  }

  private static let head = #"{"relation":"public.t","oid":123,"kind":"table","action":"#

  @Test(arguments: [
    Case(
      testDescription: "a masked read", access: .init(read: [1, 2], masked: [2]),
      json: head + #""read","columns":["a","b"],"masked_columns":["b"]}"#),
    Case(
      testDescription: "whole row", access: .init(columns: ["a", "", "c"], read: [-1, 0, 1], masked: [3]),
      json: head + #""read","columns":["ctid","a","c"],"masked_columns":["c"]}"#),
    Case(
      testDescription: "whole row masked", access: .init(read: [0], masked: [0]),
      json: head + #""read","columns":["a","b","c"],"masked_columns":["a","b","c"]}"#),
    Case(
      testDescription: "merge",
      access: .init(
        classes: WARDEN_CLASS_MERGE | WARDEN_CLASS_DELETE | WARDEN_CLASS_INSERT, read: [1], written: [1, 2]),
      json: head + #""read","columns":["a"],"masked_columns":[]},"# + head
        + #""insert","columns":["a","b"],"masked_columns":[]},"# + head
        + #""delete","columns":[],"masked_columns":[]}"#),
    Case(
      testDescription: "whole table",
      access: .init(classes: WARDEN_CLASS_DELETE_ALL | WARDEN_CLASS_DELETE),
      json: head + #""delete","all":true,"columns":[],"masked_columns":[]}"#),
    Case(
      testDescription: "drop column", access: .init(classes: WARDEN_CLASS_DROP_COLUMN, written: [2]),
      json: head + #""alter","columns":["b"],"masked_columns":[]}"#),
    Case(
      testDescription: "copy", access: .init(classes: WARDEN_CLASS_COPY_IN | WARDEN_CLASS_INSERT, written: [0]),
      json: head + #""insert","columns":["a","b","c"],"masked_columns":[]}"#),
    Case(
      testDescription: "no class", access: .init(classes: 0), json: head + #""misc","columns":[],"masked_columns":[]}"#),
    Case(
      testDescription: "columns that are not there", access: .init(read: [-99, -6, 7, 32767]),
      json: head + #""read","columns":["?","tableoid","?","?"],"masked_columns":[]}"#),
    Case(
      testDescription: "function", access: .init(classes: WARDEN_CLASS_FUNCTION),
      json: head + #""execute","columns":[],"masked_columns":[]}"#),
    Case(
      testDescription: "through a view", access: .init(read: [1], via: "shop.\"v"),
      json: head + #""read","columns":["a"],"masked_columns":[],"via":"shop.\"v"}"#),
    Case(
      testDescription: "through what has no name", access: .init(read: [1], via: ""),
      json: head + #""read","columns":["a"],"masked_columns":[]}"#),
    Case(
      testDescription: "two actions through one view",
      access: .init(classes: WARDEN_CLASS_DELETE, read: [1], masked: [1], via: "v"),
      json: head + #""read","columns":["a"],"masked_columns":["a"],"via":"v"},"# + head
        + #""delete","columns":[],"masked_columns":[],"via":"v"}"#),
    Case(
      testDescription: "labels of what is read",
      access: .init(read: [1, 2], labels: [("pii.a", [1]), ("pii.b", [2, 3]), ("pii.c", [3])]),
      json: head + #""read","columns":["a","b"],"masked_columns":[],"labels":["pii.a","pii.b"]}"#),
    Case(
      testDescription: "labels of the whole row", access: .init(read: [0], via: "v", labels: [("x", [1, 2, 3])]),
      json: head + #""read","columns":["a","b","c"],"masked_columns":[],"labels":["x"],"via":"v"}"#),
    Case(
      testDescription: "labels of what is written",
      access: .init(
        classes: WARDEN_CLASS_UPDATE | WARDEN_CLASS_DELETE, read: [1], written: [3],
        labels: [("a", [1]), ("b", [2]), ("c", [3])]),
      json: head + #""read","columns":["a"],"masked_columns":[],"labels":["a"]},"# + head
        + #""update","columns":["c"],"masked_columns":[],"labels":["c"]},"# + head
        + #""delete","columns":[],"masked_columns":[]}"#),
    Case(
      testDescription: "labels of other columns", access: .init(read: [1], labels: [("b", [2])]),
      json: head + #""read","columns":["a"],"masked_columns":[]}"#),
  ]) func oneElementPerAction(_ test: Case) throws {
    let json = json(test.access.classes, [test.access])
    #expect(json == "[" + test.json + "]")
    _ = try parsed(json)
  }

  /// A list made from what was encoded before says the same.
  @Test(arguments: [
    Lender.Access(read: [1]), .init(read: [1, 2, 3]), .init(read: [2, 3]), .init(read: [1, 3]), .init(read: [3]),
    .init(read: [1, 1, 2]), .init(read: [3, 2, 1]), .init(read: [1, 4]), .init(read: [4]), .init(read: [1, 32767]),
    .init(read: [1, -5]), .init(read: [0]), .init(read: [-1, 2]), .init(read: [1, 2], masked: [2]), .init(read: []),
    .init(classes: WARDEN_CLASS_UPDATE, read: [1, 2], written: [2, 3], via: "v"), .init(columns: []),
    .init(read: [1, 2], written: [2], labels: [("pii.a", [1]), ("pii.b", [2])]),
    .init(columns: ["a", "", String(repeating: "c", count: 200)], read: [1, 2, 3]),
    .init(name: String(repeating: "n", count: 600), kind: String(repeating: "k", count: 80), read: [1]),
    .init(columns: (1...900).map { "column_\($0)" }, read: (1...900).map { $0 }, written: (1...900).map { $0 }),
  ]) func encodedObjectsAreTheSame(_ access: Lender.Access) throws {
    var encoded = access
    encoded.isEncoded = true
    let expected = try #require(json(access.classes, [access, access]))
    if access.columns.count < 900, access.read != [1, -5] {
      #expect(json(access.classes, [encoded, encoded]) == expected)
    }
    _ = try parsed(json(access.classes, [encoded, encoded]))
  }

  @Test func encodedBytesThatMakeNoSense() throws {
    var random = SeededGenerator(state: 5)
    for length in 0..<200 {
      let ring = TestRing()
      var bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
      if length > 8, length % 2 == 0 { bytes.replaceSubrange(0..<8, with: [20, 0, 0, 0, 3, 0, 0, 0]) }
      var access = ring.lender.access(.init(read: [1, 2, 3], written: [2]))
      var object = access.object.pointee
      object.encoded = ring.lender.text(bytes)
      access.object = UnsafePointer(ring.lender.list([object]))
      let statement = WardenStatement(
        classes: WARDEN_CLASS_READ, command: ring.lender.text("S"), accesses: ring.lender.list([access]),
        access_count: 1, drops_extension: false, rows: nil)
      var record = ring.lender.record()
      record.statement = UnsafePointer(ring.lender.list([statement]))
      #expect(ring.append(record) >= 0)
      _ = try parsed(decode(ring.data)?["access"])
    }
  }

  @Test func objectsThatDoNotFitAreNotEncoded() {
    let lender = Lender()
    let access = lender.access(.init(columns: (1...20).map { "c\($0)" }))
    for capacity in [Int64.min, -1, 0, 7, 8, 40, 100] {
      var out = lender.buffer(2000)
      out.capacity = capacity
      warden_object_encode(access.object, &out)
      #expect(out.length == 0)
    }
  }

  @Test func noObjectsNoJSON() {
    #expect(json(WARDEN_CLASS_READ, []) == nil)
    let ring = TestRing()
    ring.append(ring.lender.record())
    #expect(decode(ring.data)?["access"] == nil)
  }

  @Test func namesAreEscaped() throws {
    let ring = TestRing()
    var record = ring.lender.record()
    var access = ring.lender.access(.init(read: [1]))
    var object = access.object.pointee
    object.name = ring.lender.text(Array("a\"b\\c\n\u{1}é€😀".utf8) + [0xFF, 0x80, 0, 0xED, 0xA0, 0x80, 0xC3])
    access.object = UnsafePointer(ring.lender.list([object]))
    record.statement = UnsafePointer(
      ring.lender.list([
        WardenStatement(
          classes: WARDEN_CLASS_READ, command: ring.lender.text("S"), accesses: ring.lender.list([access]),
          access_count: 1, drops_extension: false, rows: nil)
      ]))
    ring.append(record)
    let list = try parsed(decode(ring.data)?["access"])
    let replaced = String(repeating: "?", count: 7)
    #expect(list[0]["relation"] as? String == "a\"b\\c\n\u{1}é€😀" + replaced)
  }

  @Test func differentWaysToAnObjectAreEntriesOfTheirOwn() throws {
    let list = try parsed(
      json(WARDEN_CLASS_READ, [.init(read: [1]), .init(read: [1], via: "v"), .init(read: [2], via: "w")]))
    #expect(list.map { $0["via"] as? String } == [nil, "v", "w"])
    #expect(list.allSatisfy { $0["relation"] as? String == "public.t" })
  }

  @Test func aLongWayIsShortened() throws {
    let names = [String](repeating: String(repeating: "v", count: 70_000), count: 40)
    let list = try parsed(json(WARDEN_CLASS_READ, names.map { .init(read: [1], via: $0) }))
    #expect((list.first?["via"] as? String)?.utf8.count == 511)
    #expect(list.last?["accesses"] as? Int == 40)
  }

  @Test func manyObjectsAreCut() throws {
    let list = try parsed(json(WARDEN_CLASS_DROP, (1...100).map { .init(oid: UInt32($0), classes: WARDEN_CLASS_DROP) }))
    #expect(list.count == 65)
    #expect(list[63]["oid"] as? Int == 64)
    #expect(list[64]["cut"] as? Bool == true && list[64]["accesses"] as? Int == 100)
  }

  @Test func wideTablesAreCut() throws {
    let columns = (1...1600).map { "a_rather_long_name_of_a_column_\($0)" }
    let list = try parsed(json(WARDEN_CLASS_READ, [.init(columns: columns, read: [0]), .init(read: [1])]))
    #expect(list[0]["cut"] as? Bool == true)
    #expect((list[0]["columns"] as? [String])?.count ?? 0 > 200)
    #expect(list.last?["accesses"] as? Int == 2)
  }

  @Test(arguments: [0, 1, 39, 40, 41, 80, 150, 200, 300]) func smallScratchIsStillJSON(_ scratch: Int) throws {
    let json = json(WARDEN_CLASS_READ, [.init(read: [1]), .init(read: [2])], scratch: scratch)
    guard scratch >= 40 else {
      #expect(json == nil)
      return
    }
    let list = try parsed(json)
    #expect(list.last?["cut"] as? Bool == (list.count == 2 && scratch >= 300 ? nil : true))
  }

  @Test func theWorstNamesFitOrAreCut() throws {
    let bad = String(repeating: "\u{1}", count: 127)
    let columns = [String](repeating: bad, count: 200)
    let classes = WARDEN_CLASS_READ | WARDEN_CLASS_INSERT | WARDEN_CLASS_UPDATE | WARDEN_CLASS_DELETE
    let list = try parsed(
      json(classes, [.init(columns: columns, classes: classes, read: [0], written: [0], masked: [0])]))
    #expect(!list.isEmpty)
  }

  @Test func manyLabelsAreCut() throws {
    let labels = (0..<40).map { (label: "l\($0)." + String(repeating: "x", count: 50), columns: [Int16(1)]) }
    let list = try parsed(json(WARDEN_CLASS_READ, [.init(read: [1], labels: labels), .init(read: [2])]))
    #expect((list[0]["labels"] as? [String])?.count == 32)
    #expect(list[0]["cut"] as? Bool == true && list[0]["columns"] as? [String] == ["a"])
    #expect(list[1]["cut"] == nil && list[1]["labels"] == nil)
    let full = try parsed(
      json(WARDEN_CLASS_READ, [.init(read: [0], written: [0], labels: labels), .init(read: [0], labels: labels)]))
    #expect(full.allSatisfy { $0["cut"] as? Bool == true })
  }

  @Test func labelsThatMakeNoSense() throws {
    for count in [Int64.min, -1, .max] {
      let ring = TestRing()
      var access = ring.lender.access(.init(read: [1], labels: [("x", [1])]))
      var object = access.object.pointee
      object.label_count = count
      if count == .max { object.labels = nil }
      access.object = UnsafePointer(ring.lender.list([object]))
      let statement = WardenStatement(
        classes: WARDEN_CLASS_READ, command: ring.lender.text("S"), accesses: ring.lender.list([access]),
        access_count: 1, drops_extension: false, rows: nil)
      var record = ring.lender.record()
      record.statement = UnsafePointer(ring.lender.list([statement]))
      #expect(ring.append(record) >= 0)
      #expect(try parsed(decode(ring.data)?["access"])[0]["labels"] == nil)
    }
    let long = String(repeating: "é", count: 100)
    _ = try parsed(json(WARDEN_CLASS_READ, [.init(read: [0], labels: [(long, [1]), ("", [2]), ("a\"b", [3])])]))
  }

  @Test func hostileCounts() throws {
    let ring = TestRing()
    var access = ring.lender.access(.init(read: [1]))
    access.read_count = -1
    access.written_columns = nil
    access.written_count = Int64.max
    access.masked_count = Int64.min
    var record = ring.lender.record()
    for count in [Int64.min, -1, 1] {
      record.statement = UnsafePointer(
        ring.lender.list([
          WardenStatement(
            classes: UInt64.max, command: ring.lender.text("S"), accesses: ring.lender.list([access]),
            access_count: count, drops_extension: false, rows: nil)
        ]))
      #expect(ring.append(record) >= 0)
    }
    let rows = collect([ring]).rows
    #expect(rows.map { $0["access"] == nil } == [true, true, false])
    _ = try parsed(rows[2]["access"])
  }
}
