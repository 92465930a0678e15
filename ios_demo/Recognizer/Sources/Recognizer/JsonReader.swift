import Foundation

/// Reads JSON after RFC 8259, of bounded depth and without a member twice.
///
/// Foundation's decoder is not trusted with files from elsewhere: a key that is no UTF-8 ends the process
/// (a `try!` in Swift 6.0's JSONDecoder, found by the test that mutates a manifest).
struct JsonReader {
    private let bytes: [UInt8]
    private var at = 0
    private static let mostDepth = 32
    private static let mostDigits = 64  // of a number; more than any double needs

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The one value that the text has. Throws `BundleError` with the byte where it goes wrong.
    mutating func whole() throws -> Json {
        let value = try value(depth: 0)
        space()
        guard at == bytes.count else { throw wrong("something follows the value") }
        return value
    }

    private mutating func value(depth: Int) throws -> Json {
        guard depth < Self.mostDepth else { throw wrong("it is nested deeper than \(Self.mostDepth)") }
        space()
        switch peek {
        case UInt8(ascii: "{"): return try object(depth)
        case UInt8(ascii: "["): return try list(depth)
        case UInt8(ascii: "\""): return .text(try text())
        case UInt8(ascii: "t"): return try word("true", .truth(true))
        case UInt8(ascii: "f"): return try word("false", .truth(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func object(_ depth: Int) throws -> Json {
        at += 1
        var members: [String: Json] = [:]
        space()
        if skip("}") { return .object(members) }
        while true {
            space()
            guard peek == UInt8(ascii: "\"") else { throw wrong("a name is missing") }
            let name = try text()
            space()
            guard skip(":") else { throw wrong("a colon is missing") }
            guard members.updateValue(try value(depth: depth + 1), forKey: name) == nil else {
                throw wrong("a name occurs twice")
            }
            space()
            if skip("}") { return .object(members) }
            guard skip(",") else { throw wrong("a comma is missing") }
        }
    }

    private mutating func list(_ depth: Int) throws -> Json {
        at += 1
        var items: [Json] = []
        space()
        if skip("]") { return .list(items) }
        while true {
            items.append(try value(depth: depth + 1))
            space()
            if skip("]") { return .list(items) }
            guard skip(",") else { throw wrong("a comma is missing") }
        }
    }

    private mutating func word(_ word: String, _ value: Json) throws -> Json {
        guard bytes[at...].starts(with: word.utf8) else { throw wrong("a value is missing") }
        at += word.utf8.count
        return value
    }

    private mutating func number() throws -> Json {
        let begin = at
        _ = skip("-")
        let whole = digits()
        guard whole > 0 else { throw wrong("a value is missing") }
        guard whole == 1 || bytes[at - whole] != UInt8(ascii: "0") else {
            throw wrong("a number begins with 0")
        }
        if skip("."), digits() == 0 { throw wrong("a number ends with its point") }
        if skip("e") || skip("E") {
            if !skip("+") { _ = skip("-") }
            if digits() == 0 { throw wrong("a number ends with its exponent") }
        }
        guard at - begin <= Self.mostDigits,
            let number = Double(String(decoding: bytes[begin..<at], as: UTF8.self)), number.isFinite
        else { throw wrong("a number is too large or too long") }
        return .number(number)
    }

    private mutating func digits() -> Int {
        let begin = at
        while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { at += 1 }
        return at - begin
    }

    private mutating func text() throws -> String {
        at += 1
        var units: [UInt8] = []
        while let byte = peek {
            at += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(bytes: units, encoding: .utf8) else {
                    throw wrong("a text is no UTF-8")
                }
                return text
            case UInt8(ascii: "\\"): try escape(&units)
            case 0..<0x20: throw wrong("a text has a control character")
            default: units.append(byte)
            }
        }
        throw wrong("a text has no end")
    }

    private mutating func escape(_ units: inout [UInt8]) throws {
        guard let byte = peek else { throw wrong("a text has no end") }
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): units.append(byte)
        case UInt8(ascii: "b"): units.append(8)
        case UInt8(ascii: "f"): units.append(12)
        case UInt8(ascii: "n"): units.append(10)
        case UInt8(ascii: "r"): units.append(13)
        case UInt8(ascii: "t"): units.append(9)
        case UInt8(ascii: "u"):
            var scalar = try fourDigits()
            if (0xD800..<0xDC00).contains(scalar), bytes[at...].starts(with: "\\u".utf8) {
                at += 2
                let low = try fourDigits()
                guard (0xDC00..<0xE000).contains(low) else { throw wrong("half a character stands alone") }
                scalar = 0x10000 + (scalar - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let character = Unicode.Scalar(scalar) else { throw wrong("half a character stands alone") }
            units += String(Character(character)).utf8
        default: throw wrong("a text has an unknown escape")
        }
    }

    private mutating func fourDigits() throws -> UInt32 {
        guard at + 4 <= bytes.count else { throw wrong("a text has no end") }
        let digits = bytes[at..<(at + 4)]
        guard digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let value = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw wrong("a character's number is no number") }
        at += 4
        return value
    }

    private var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: character) else { return false }
        at += 1
        return true
    }

    private mutating func space() {
        while let byte = peek, byte == 32 || (9...10).contains(byte) || byte == 13 { at += 1 }
    }

    private func wrong(_ reason: String) -> BundleError {
        BundleError("not valid JSON at byte \(at): \(reason); export again")
    }
}
