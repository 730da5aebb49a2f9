import Contract
import Foundation
import Testing

@testable import Interceptor

/// What an application told in a comment is found where it is a comment, and is JSON whatever is in it.
@Suite struct StatementTagsTests {
  private func tags(_ bytes: [UInt8], capacity: Int = 4096) -> String? {
    let lender = Lender()
    var out = lender.buffer(capacity)
    warden_statement_tags(lender.text(bytes), &out)
    guard out.length > 0 else { return nil }
    return spoolString(WardenText(bytes: out.bytes, length: out.length))
  }

  private func tags(_ statement: String, capacity: Int = 4096) -> String? {
    tags(Array(statement.utf8), capacity: capacity)
  }

  private static let cases: [(String, String?)] = [
    ("SELECT 1 /*a='b'*/", #"{"a":"b"}"#),
    ("SELECT 1 /* a='b' , c='d' */ ;\n ", #"{"a":"b","c":"d"}"#),
    (
      "SELECT * FROM FOO /*action='%2Fparam*d',controller='index',framework='spring',\ntraceparent='00-5b-c5-01'*/",
      #"{"action":"/param*d","controller":"index","framework":"spring","traceparent":"00-5b-c5-01"}"#
    ),
    ("SELECT 1 /*route%20p='%2Fa%20b',x='a+b'*/", #"{"route p":"/a b","x":"a+b"}"#),
    ("SELECT 1 /*name='FOO%20\\'BAR'*/", #"{"name":"FOO 'BAR"}"#),
    ("SELECT 1 /*a='%C3%A9%e2%82%ac'*/", #"{"a":"é€"}"#),
    ("SELECT 1 /*a='',b='\\x'*/", #"{"a":"","b":"\\x"}"#),
    ("SELECT 1 /*a='1',b='2',a='3'*/", #"{"b":"2","a":"3"}"#),
    ("SELECT 1 /*a='%31',%61='2'*/", #"{"a":"2"}"#),
    ("SELECT 1 /*a='b',*/", #"{"a":"b"}"#),
    ("/*a='b'*/ SELECT 1", #"{"a":"b"}"#),
    (" -- x\n /*a='b'*/ SELECT 1 /* done */", #"{"a":"b"}"#),
    ("/*a='b'*/ SELECT 1 /*c='d'*/", #"{"c":"d"}"#),
    ("SELECT /*a='b'*/ 1", #"{"a":"b"}"#),
    // not comments
    ("SELECT '/*a=''b''*/'", nil), ("SELECT $$ /*a='b'*/ $$", nil), ("SELECT $t$ $$ /*a='b'*/ $t$", nil),
    ("SELECT E'\\' /*a=' || '*/'", nil), ("SELECT \"/*a='b'*/\"", nil), ("SELECT 1 -- /*a='b'*/", nil),
    ("SELECT 1 /* a='b'", nil), ("SELECT '/*a=' /* x */", nil), ("SELECT 'x /*a='b'*/", nil), ("", nil), ("/*", nil),
    ("/*/", nil), ("/**/", nil), ("/*=*/", #"{"comment":"="}"#), ("SELECT 1 /* /* a='b' */", nil),
    // ordinary comments
    ("SELECT 1 /* done */", nil), ("/* hello */ SELECT 1", nil), ("SELECT 1 /*+ IndexScan(a) */", nil),
    // malformed ones
    ("SELECT 1 /*a=b*/", #"{"comment":"a=b"}"#), ("SELECT 1 /*a='b*/", #"{"comment":"a='b"}"#),
    ("SELECT 1 /*a='b'c='d'*/", #"{"comment":"a='b'c='d'"}"#), ("SELECT 1 /*='b'*/", #"{"comment":"='b'"}"#),
    ("SELECT 1 /*'a'='b'*/", #"{"comment":"'a'='b'"}"#), ("SELECT 1 /*a='b',c*/", #"{"comment":"a='b',c"}"#),
    ("SELECT 1 /*a=\"b\"*/", #"{"comment":"a=\"b\""}"#), ("SELECT 1 /* /*a='b'*/ */", #"{"comment":"/*a='b'*/"}"#),
    ("SELECT 1 /*a='\\'*/", #"{"comment":"a='\\'"}"#),
    ("SELECT 1 /*a='%'*/", #"{"a":"%"}"#), ("SELECT 1 /*a='%4'*/", #"{"a":"%4"}"#),
    ("SELECT 1 /*a='%zz'*/", #"{"a":"%zz"}"#),
    ("SELECT 1 /*a='%00%0A%22%5C%ff'*/", #"{"a":"?\u000a\"\\?"}"#),
    // texts that were cut
    ("SELECT 'x ... [9 of 99 bytes] /*a='b'*/", #"{"a":"b"}"#),
    ("SELECT $$x ... [9 of 99 bytes, sha256 00ff] /*a='b'*/ ;", #"{"a":"b"}"#),
    ("SELECT 'x ... [9 of 99 bytes]", nil), ("/*a='b'*/ SELECT 'x ... [9 of 99 bytes]", #"{"a":"b"}"#),
  ]

  @Test(arguments: cases) func whatACommentSays(_ statement: String, _ expected: String?) throws {
    let tags = tags(statement)
    #expect(tags == expected)
    if let tags { _ = try JSONSerialization.jsonObject(with: Data(tags.utf8)) }
  }

  @Test func bytesThatAreNotText() {
    let bytes: [UInt8] = [0x2F, 0x2A, 0x61, 0xFF, 0, 0x3D, 0x27, 0xC3, 0x27, 0x2A, 0x2F]
    #expect(tags(bytes) == #"{"a??":"?"}"#)
  }

  @Test func hostileLengths() {
    let lender = Lender()
    let text = lender.text("SELECT 1 /*a='b'*/")
    var out = lender.buffer(4096)
    for length in [Int64.min, -1, 0] {
      out.length = 7
      warden_statement_tags(WardenText(bytes: text.bytes, length: length), &out)
      #expect(out.length == 0)
    }
    warden_statement_tags(WardenText(bytes: nil, length: Int64.max), &out)
    #expect(out.length == 0)
    for capacity in [Int64.min, -1, 0, 1, 2, 8] {
      out.capacity = capacity
      warden_statement_tags(text, &out)
      #expect(out.length == 0)
    }
  }

  @Test func manyAreBounded() throws {
    let many = "/*" + (1...200).map { "k\($0)='v'" }.joined(separator: ",") + "*/"
    let few = try #require(try object(tags(many)))
    #expect(few.count == 64 && few["k64"] as? String == "v")
    let long = "/*a='" + String(repeating: "x", count: 5000) + "',b='c'*/"
    #expect(tags(long) == #"{"b":"c"}"#)
    #expect(tags("/*a='" + String(repeating: "x", count: 5000) + "'*/") == nil)
    let comment = try #require(tags("/*a=" + String(repeating: "é\u{1}", count: 5000) + "*/"))
    #expect(comment.utf8.count <= 4096 && comment.utf8.count > 1000)
    _ = try object(comment)
  }

  private func object(_ json: String?) throws -> [String: Any]? {
    try JSONSerialization.jsonObject(with: Data(json?.utf8 ?? "".utf8)) as? [String: Any]
  }

  @Test(arguments: 1...300) func randomPieces(_ seed: UInt64) throws {
    let pieces = [
      "/*", "*/", "'", "=", ",", "a", "%", "%2", "%2F", "%00", "\\", "\\'", "\"", "$$", "--", "\n", " ", ";", " ... [",
      " of ", " bytes] ", "é", "\u{0}", "E'",
    ]
    var random = SeededGenerator(state: seed)
    var statement = ""
    for _ in 0..<Int.random(in: 1...60, using: &random) { statement += pieces.randomElement(using: &random)! }
    for text in [statement, statement + "/*a='b'*/", "/*" + statement + "*/"] {
      for capacity in [4096, 40, 9] {
        guard let tags = tags(text, capacity: capacity) else { continue }
        #expect(try object(tags)?.isEmpty == false, "\(text) -> \(tags)")
        #expect(tags.utf8.count <= capacity)
      }
    }
  }

  @Test(.timeLimit(.minutes(1)), arguments: ["/*", "*/", "'", "$a$", "$", "a='b',", "--", "/*a='b'*/", "%", " ... ["])
  func longTextsAreReadOnce(_ piece: String) {
    let text = String(repeating: piece, count: 1_000_000 / piece.utf8.count)
    _ = tags(text)
    _ = tags("/*" + text + "*/")
    _ = tags(text + "/*a='b'*/")
  }
}
