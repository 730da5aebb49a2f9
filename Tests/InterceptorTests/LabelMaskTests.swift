import Contract
import Testing

// Which rule masks a labelled column, and by what method where none is named.

extension PolicyTests {
  @Suite struct LabelMaskTests {
    struct Choice: Sendable {
      let labels: [String]
      let patterns: [String]
      let chosen: String?
    }

    @Test(arguments: [
      Choice(labels: [], patterns: ["*"], chosen: nil),
      Choice(labels: ["pii.email"], patterns: [], chosen: nil),
      Choice(labels: ["pii.email"], patterns: ["pii.name", "secret.*", "pii.email.work"], chosen: nil),
      Choice(labels: ["pii.email"], patterns: ["*", "pii.*", "pii.email"], chosen: "pii.email"),
      Choice(labels: ["pii.email"], patterns: ["*", "pii.*"], chosen: "pii.*"),
      Choice(labels: ["pii.email"], patterns: ["pii.email.*", "pii.*"], chosen: "pii.email.*"),
      Choice(labels: ["pii"], patterns: ["pii.*"], chosen: "pii.*"),
      Choice(labels: ["piix"], patterns: ["pii.*"], chosen: nil),
      // of labels: none is the more important
      Choice(labels: ["a", "pii.email"], patterns: ["a", "pii.email"], chosen: "pii.email"),
      Choice(labels: ["a.long_word", "b"], patterns: ["a.*", "b"], chosen: "b"),
      Choice(labels: ["b.x", "a.x"], patterns: ["b.*", "a.*"], chosen: "a.*"),
      Choice(labels: ["a.x", "b.x"], patterns: ["b.x", "a.x"], chosen: "a.x"),
    ])
    func rule(_ choice: Choice) {
      // In whatever order labels and rules come.
      for labels in [choice.labels, choice.labels.reversed()] {
        for patterns in [choice.patterns, choice.patterns.reversed()] {
          let index = chosen(labels, patterns)
          #expect(patterns.indices.contains(index) ? patterns[index] == choice.chosen : choice.chosen == nil)
        }
      }
    }

    private func chosen(_ labels: [String], _ patterns: [String]) -> Int {
      let arena = Arena()
      let carried = arena.array(labels.map { arena.text($0) } + [WardenText()])
      let rules = arena.array(patterns.map { arena.text($0) } + [WardenText()])
      guard let carried, let rules else { return -1 }
      return Int(warden_label_mask_rule(carried, Int64(labels.count), rules, Int64(patterns.count)))
    }

    static let patterns = [
      ("pii.email", true), ("pii.*", true), ("*", true), ("a_1.b2", true), ("", false), ("pii.", false), (".*", false),
      ("Pii", false), ("pii.*.x", false), ("*.pii", false), (String(repeating: "a", count: 64), false),
    ]

    @Test(arguments: patterns) func pattern(_ text: String, _ isPattern: Bool) {
      let arena = Arena()
      #expect(warden_label_mask_pattern(arena.text(text)) == isPattern)
    }

    static let defaults: [([String], [String])] = [
      (["pii.email"], ["email {}"]),
      (["pii.contact.email.work"], ["email {}"]),
      (["pii.name"], ["fake {\"kind\": \"name\"}", "partial {\"prefix\": 1}", "redact {}"]),
      (["pii.phone"], ["last4 {}", "redact {}"]),
      (["payment.iban"], ["last4 {}", "redact {}"]),
      (["payment.whatever"], ["last4 {}", "redact {}"]),
      (["pii.ip"], ["ip_prefix {}"]),
      (["pii.birth_date"], ["year {}", "redact {}"]),
      (["pii.birthday"], ["year {}", "redact {}"]),
      (["pii.email.note"], ["scrub {}", "redact {}"]),
      (["free_text"], ["scrub {}", "redact {}"]),
      (["pii.address"], ["fake {\"kind\": \"address\"}", "redact {}"]),
      (["pii.email", "secret.token"], ["redact {}", "null {}"]),
      (["a.b", "pii.email", "pii.phone"], ["email {}"]),
      (["secretive.email"], ["email {}"]),
      (["pii"], []), ([], []), (["x.y.z"], []),
    ]

    @Test(arguments: defaults) func methods(_ labels: [String], _ expected: [String]) {
      let arena = Arena()
      guard let carried = arena.array(labels.map { arena.text($0) } + [WardenText()]) else { return }
      var found: [String] = []
      var method = arena.buffer(64)
      var options = arena.buffer(256)
      for rank in Int32(0)..<9
      where warden_label_mask_default(carried, Int64(labels.count), rank, &method, &options) {
        found.append(string(method) + " " + string(options))
      }
      #expect(found == expected)
      #expect(!warden_label_mask_default(carried, Int64(labels.count), -1, &method, &options))
      #expect(!warden_label_mask_default(carried, Int64(labels.count), .max, &method, &options))
    }

    @Test func `no room is no method`() {
      let arena = Arena()
      var method = arena.buffer(3)
      var options = arena.buffer(256)
      var label = arena.text("pii.email")
      #expect(!warden_label_mask_default(&label, 1, 0, &method, &options))
    }
  }
}
