import Foundation

/// A place in a manifest: the value there and the path to it, `$.input.shape[1]`.
///
/// Every function gives what it is named after and throws `BundleError` with the place for anything else.
struct Node {
    let value: Json
    let path: String

    init(_ value: Json, _ path: String = "$") {
        self.value = value
        self.path = path
    }

    subscript(name: String) -> Node {
        get throws {
            guard let member = try members()[name] else { throw fail("has no \(name)") }
            return Node(member, "\(path).\(name)")
        }
    }

    /// The member of this name; nil where there is none or it is null.
    func orNone(_ name: String) throws -> Node? {
        guard let member = try members()[name], member != .null else { return nil }
        return Node(member, "\(path).\(name)")
    }

    /// This node, which has these members, perhaps the `optional` ones, and no others.
    @discardableResult
    func keys(_ names: String..., optional: [String] = []) throws -> Node {
        let members = try members()
        for name in names where members[name] == nil { throw fail("has no \(name)") }
        for name in members.keys.sorted() where !names.contains(name) && !optional.contains(name) {
            throw fail("has \(quoted(name)), which the format does not know")
        }
        return self
    }

    @discardableResult
    func text() throws -> String {
        guard case .text(let text) = value else { throw fail("is no text") }
        return text
    }

    func truth() throws -> Bool {
        guard case .truth(let truth) = value else { throw fail("is neither true nor false") }
        return truth
    }

    @discardableResult
    func number(
        least: Double = -Double.greatestFiniteMagnitude, most: Double = Double.greatestFiniteMagnitude
    ) throws -> Double {
        guard case .number(let number) = value else { throw fail("is no number") }
        guard number >= least, number <= most else {
            throw fail("is \(number): it has to lie in \(least) to \(most)")
        }
        return number
    }

    @discardableResult
    func whole(least: Int, most: Int = Int(Int32.max)) throws -> Int {
        let number = try number(least: Double(least), most: Double(most))
        guard number == number.rounded() else { throw fail("is \(number), which is no whole number") }
        return Int(number)
    }

    /// A text that is one of these.
    @discardableResult
    func one(_ choices: String...) throws -> String {
        let text = try text()
        guard choices.contains(text) else {
            throw fail("is \(quoted(text)): it has to be \(choices.joined(separator: " or "))")
        }
        return text
    }

    /// 64 hexadecimal digits.
    func sha256() throws -> String {
        let text = try text()
        guard text.utf8.count == 64, text.utf8.allSatisfy({ "0123456789abcdef".utf8.contains($0) }) else {
            throw fail("is \(quoted(text)), which is no SHA-256")
        }
        return text
    }

    /// A plain file name: nothing that leads out of the bundle.
    func fileName() throws -> String {
        let text = try text()
        let plain = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."),
                UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard plain, let first = text.first, first != ".", first != "-" else {
            throw fail("is \(quoted(text)), which is no plain name")
        }
        return text
    }

    @discardableResult
    func items<T>(_ least: Int, _ most: Int, _ read: (Node) throws -> T) throws -> [T] {
        guard case .list(let items) = value else { throw fail("is no list") }
        guard items.count >= least, items.count <= most else { throw fail("has \(items.count) items") }
        return try items.enumerated().map { try read(Node($1, "\(path)[\($0)]")) }
    }

    func orNull<T>(_ read: (Node) throws -> T) throws -> T? { value == .null ? nil : try read(self) }

    /// Reads every member of an object.
    func members(_ read: (Node) throws -> Void) throws {
        for name in try members().keys.sorted() { try read(self[name]) }
    }

    /// An object of texts.
    func texts() throws -> [String: String] {
        var texts: [String: String] = [:]
        for name in try members().keys { texts[name] = try self[name].text() }
        return texts
    }

    func fail(_ reason: String) -> BundleError { BundleError("not a valid manifest: \(path) \(reason)") }

    private func members() throws -> [String: Json] {
        guard case .object(let members) = value else { throw fail("is no object") }
        return members
    }

    /// In one line however long it is and whatever it holds.
    private func quoted(_ text: String) -> String {
        let shown = text.unicodeScalars.prefix(40).map { scalar in
            let plain = scalar.properties.generalCategory != .control && !Character(scalar).isNewline
            return plain ? Character(scalar) : "?"
        }
        return "\"" + String(shown) + "\""
    }
}
