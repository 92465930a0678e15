// Stand-in for SwiftUI: what the app uses of it, with the iOS that has it first. What begins with an
// underscore serves the stand-in alone.
@_exported import UIKit

@MainActor @preconcurrency public protocol View {  // iOS 13.0
    associatedtype Body: View
    @ViewBuilder @MainActor @preconcurrency var body: Body { get }
}
extension Never: View { public var body: Never { fatalError() } }
public protocol _Leaf: View where Body == Never {}
extension _Leaf { public var body: Never { fatalError() } }
public struct EmptyView: _Leaf { public init() {} }  // iOS 13.0
public struct TupleView<each V: View>: _Leaf { init(_ v: repeat each V) {} }  // iOS 13.0
public struct _ConditionalContent<A: View, B: View>: _Leaf {}
extension Optional: View where Wrapped: View { public var body: Never { fatalError() } }
@resultBuilder public struct ViewBuilder {  // iOS 13.0
    public static func buildExpression<V: View>(_ v: V) -> V { v }
    public static func buildBlock() -> EmptyView { fatalError() }
    public static func buildBlock<V: View>(_ v: V) -> V { v }
    public static func buildBlock<each V: View>(_ v: repeat each V) -> TupleView<repeat each V> { fatalError() }
    public static func buildIf<V: View>(_ v: V?) -> V? { v }
    public static func buildEither<A: View, B: View>(first: A) -> _ConditionalContent<A, B> { fatalError() }
    public static func buildEither<A: View, B: View>(second: B) -> _ConditionalContent<A, B> { fatalError() }
}
public struct LocalizedStringKey: ExpressibleByStringInterpolation { public init(stringLiteral value: String) {} }  // iOS 13.0
public struct Text: _Leaf {  // iOS 13.0
    public init(_ key: LocalizedStringKey) {}  // iOS 13.0
    public init(verbatim: String) {}  // iOS 13.0
}
public struct VStack<C: View>: _Leaf { public init(alignment: HorizontalAlignment = .center, spacing: CGFloat? = nil, @ViewBuilder content: () -> C) {} }  // iOS 13.0
public struct ZStack<C: View>: _Leaf { public init(alignment: Alignment = .center, @ViewBuilder content: () -> C) {} }  // iOS 13.0
public struct ScrollView<C: View>: _Leaf { public init(@ViewBuilder content: () -> C) {} }  // iOS 13.0
public struct HorizontalAlignment: Sendable { public static let leading = Self(), center = Self() }  // iOS 13.0
public struct Alignment: Sendable { public static let center = Self(), bottom = Self(), leading = Self(), trailing = Self() }  // iOS 13.0
public struct Font: Sendable {  // iOS 13.0
    public static let largeTitle = Font(), headline = Font(), body = Font(), footnote = Font()  // iOS 13.0
    public func bold() -> Font { self }  // iOS 13.0
    public func monospacedDigit() -> Font { self }  // iOS 13.0
}
public struct ForEach<D: RandomAccessCollection, ID: Hashable, C: View>: _Leaf {  // iOS 13.0
    public init(_ data: D, id: KeyPath<D.Element, ID>, @ViewBuilder content: @escaping (D.Element) -> C) {}  // iOS 13.0
}
public struct Button<L: View>: _Leaf {  // iOS 13.0
    public init(action: @escaping @MainActor () -> Void, @ViewBuilder label: () -> L) {}  // iOS 13.0
    public init(_ key: LocalizedStringKey, action: @escaping @MainActor () -> Void) where L == Text {}  // iOS 13.0
}
public struct Menu<L: View, C: View>: _Leaf { public init(@ViewBuilder content: () -> C, @ViewBuilder label: () -> L) {} }  // iOS 14.0
public struct ProgressView: _Leaf {  // iOS 14.0
    public init() {}  // iOS 14.0
    public init(value: Double?) {}  // iOS 14.0
}
public struct ShareLink<L: View>: _Leaf { public init(item: URL, @ViewBuilder label: () -> L) {} }  // iOS 16.0
public struct Material: Sendable { public static let regularMaterial = Material() }  // iOS 15.0
public protocol ShapeStyle {}  // iOS 13.0
extension Material: ShapeStyle {}
extension ShapeStyle where Self == Material { public static var regularMaterial: Material { Material() } }  // iOS 15.0
public struct HierarchicalShapeStyle: ShapeStyle {}  // iOS 15.0
extension ShapeStyle where Self == HierarchicalShapeStyle { public static var secondary: Self { Self() } }  // iOS 15.0
public struct AccessibilityTraits: OptionSet, Sendable {  // iOS 13.0
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }
    public static let isHeader = Self(rawValue: 1), updatesFrequently = Self(rawValue: 2)  // iOS 13.0
}
extension View {
    public func font(_ f: Font?) -> some View { self }  // iOS 13.0
    public func padding(_ l: CGFloat? = nil) -> some View { self }  // iOS 13.0
    public func frame(maxWidth: CGFloat? = nil, maxHeight: CGFloat? = nil, alignment: Alignment = .center) -> some View { self }  // iOS 13.0
    public func ignoresSafeArea() -> some View { self }  // iOS 14.0
    public func background<S: ShapeStyle>(_ style: S) -> some View { self }  // iOS 15.0
    public func foregroundStyle<S: ShapeStyle>(_ style: S) -> some View { self }  // iOS 15.0
    public func task(priority: TaskPriority = .userInitiated, @_inheritActorContext _ action: @escaping @Sendable () async -> Void) -> some View { self }  // iOS 15.0
    public func task<T: Equatable>(id: T, priority: TaskPriority = .userInitiated, @_inheritActorContext _ action: @escaping @Sendable () async -> Void) -> some View { self }  // iOS 15.0
    public func accessibilityLabel(_ label: Text) -> some View { self }  // iOS 14.0
    public func accessibilityAddTraits(_ traits: AccessibilityTraits) -> some View { self }  // iOS 14.0
}
@propertyWrapper public struct State<Value> {  // iOS 13.0
    public init(wrappedValue: Value) { fatalError() }  // iOS 13.0
    public var wrappedValue: Value { get { fatalError() } nonmutating set {} }  // iOS 13.0
}
public enum ScenePhase: Comparable, Sendable { case background, inactive, active }  // iOS 14.0
@MainActor @preconcurrency public struct OpenURLAction { public func callAsFunction(_ url: URL) {} }  // iOS 14.0
public struct EnvironmentValues {  // iOS 13.0
    public var scenePhase: ScenePhase { fatalError() }  // iOS 14.0
    public var openURL: OpenURLAction { fatalError() }  // iOS 14.0
}
@propertyWrapper public struct Environment<Value> {  // iOS 13.0
    public init(_ k: KeyPath<EnvironmentValues, Value>) {}  // iOS 13.0
    public var wrappedValue: Value { fatalError() }  // iOS 13.0
}
@MainActor @preconcurrency public protocol Scene { associatedtype Body: Scene; @SceneBuilder @MainActor @preconcurrency var body: Body { get } }  // iOS 14.0
extension Never: Scene {}
@resultBuilder public struct SceneBuilder { public static func buildBlock<S: Scene>(_ s: S) -> S { s } }  // iOS 14.0
public struct WindowGroup<C: View>: Scene {  // iOS 14.0
    public init(@ViewBuilder content: () -> C) {}  // iOS 14.0
    public var body: Never { fatalError() }
}
@MainActor @preconcurrency public protocol App { associatedtype Body: Scene; @SceneBuilder @MainActor @preconcurrency var body: Body { get }; @MainActor @preconcurrency init() }  // iOS 14.0
extension App { @MainActor public static func main() { _ = Self() } }  // iOS 14.0
public struct UIViewRepresentableContext<R> {}  // iOS 13.0
@MainActor @preconcurrency public protocol UIViewRepresentable: View where Body == Never {  // iOS 13.0
    associatedtype UIViewType: UIView
    func makeUIView(context: Context) -> UIViewType
    func updateUIView(_ v: UIViewType, context: Context)
    typealias Context = UIViewRepresentableContext<Self>
}
extension UIViewRepresentable { public var body: Never { fatalError() } }
