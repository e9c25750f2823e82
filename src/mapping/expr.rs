//! From the text of an expression to [`Code`], with every name and kind checked.
//!
//! The grammar is minijinja's: its parser reads the text, so precedence and syntax are those of a
//! well-known language. The tree is lowered here, with field indexes in place of names, and run by
//! [`super::eval`]; minijinja's own machine never sees a value, for its numbers are not exact
//! (`docs/adr/0002-expressions.md`). The language is what is lowered here, nothing more. This file
//! is the only one that knows minijinja's tree, which carries no promise of stability: the version
//! is pinned for that reason.

use minijinja::machinery::ast::{self, CallArg, Expr};
use minijinja::machinery::parse_expr;
use minijinja::value::ValueKind;
use rust_decimal::Decimal;

use super::calls::Given;
use super::code::{Code, Order};
use super::faults::Remark;
use super::scope::{Scope, Step, fields};
use super::value::{Arithmetic, Ty};

/// Longest expression, in bytes. The parser bounds brackets but not chains of operators; so much
/// of any shape fits a stack of 2 MiB.
const MAX_BYTES: usize = 1024;
/// Deepest nesting of an expression.
const MAX_DEPTH: usize = 60;

/// Faults of an expression with their byte offsets in its text.
pub(super) type ExprFaults = Vec<(usize, Remark)>;

/// Compiles an expression.
///
/// # Errors
/// Every fault that is found.
pub(super) fn compile(scope: &Scope<'_>, text: &str) -> Result<(Code, Ty), ExprFaults> {
    if text.trim().is_empty() {
        return Err(vec![(0, "an expression is expected".into())]);
    }
    if text.len() > MAX_BYTES {
        return Err(vec![(0, format!("an expression may have {MAX_BYTES} bytes at most").into())]);
    }
    let parsed = parse_expr(text).map_err(|error| vec![syntax(text, &error)])?;
    let mut compiler = Compiler { scope, text, faults: Vec::new(), depth: 0 };
    let compiled = compiler.expr(&parsed);
    compiler.faults.extend(super::pipes::unclear(text));
    if compiler.faults.is_empty() { Ok(compiled) } else { Err(compiler.faults) }
}

/// Compiles an expression that is asked whether it is true.
///
/// # Errors
/// Every fault that is found.
pub(super) fn condition(scope: &Scope<'_>, text: &str) -> Result<Code, ExprFaults> {
    compile(scope, text).map(|(code, _)| code)
}

fn syntax(text: &str, error: &minijinja::Error) -> (usize, Remark) {
    let end = text.trim_end().len();
    let at = error.range().map_or(end, |range| range.start.min(end));
    if let Some(single) = super::pipes::single_equals(text) {
        return (single, "values are compared with ==".into());
    }
    let detail = error.detail().unwrap_or("this is no expression");
    (at, format!("syntax: {detail}").into())
}

/// Lowers one expression.
pub(super) struct Compiler<'c> {
    pub(super) scope: &'c Scope<'c>,
    text: &'c str,
    faults: ExprFaults,
    depth: usize,
}

/// What a faulty part is taken for, so that the rest can still be checked.
const BROKEN: (Code, Ty) = (Code::None, Ty::Any);

impl<'c> Compiler<'c> {
    pub(super) fn fault(&mut self, at: usize, remark: impl Into<Remark>) -> (Code, Ty) {
        let fault = (at, remark.into());
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
        BROKEN
    }

    /// How many faults were found so far.
    pub(super) fn fault_count(&self) -> usize {
        self.faults.len()
    }

    /// Where a name that was borrowed from the text stands in it.
    fn offset_of(&self, name: &str) -> usize {
        (name.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize).filter(|at| *at <= self.text.len()).unwrap_or(0)
    }

    fn expr(&mut self, expr: &Expr<'c>) -> (Code, Ty) {
        self.depth += 1;
        let compiled = if self.depth > MAX_DEPTH { self.fault(start(expr), "nested too deep") } else { self.node(expr) };
        self.depth -= 1;
        compiled
    }

    fn node(&mut self, expr: &Expr<'c>) -> (Code, Ty) {
        match expr {
            Expr::Const(constant) => self.constant(expr, &constant.value),
            Expr::Var(var) => self.path(&[(var.id, self.offset_of(var.id))]),
            Expr::GetAttr(_) => self.attribute(expr),
            Expr::GetItem(item) => self.item(item),
            Expr::UnaryOp(unary) => match unary.op {
                ast::UnaryOpKind::Not => (Code::Not(Box::new(self.expr(&unary.expr).0)), Ty::Bool),
                ast::UnaryOpKind::Neg => {
                    let (code, ty) = self.number(&unary.expr);
                    (Code::Arithmetic(Arithmetic::Sub, Box::new(Code::Int(0)), Box::new(code)), ty)
                }
            },
            Expr::BinOp(binary) => self.binary(binary),
            Expr::Compare(chain) => match chain.ops.as_slice() {
                [one] => self.compare(one.op, &chain.expr, &one.expr),
                _ => self.fault(start(expr), "compare two values at a time: 1 < a and a < 3"),
            },
            Expr::IfExpr(choice) => {
                let (test, _) = self.expr(&choice.test_expr);
                let (yes, yes_ty) = self.expr(&choice.true_expr);
                let (no, no_ty) = choice.false_expr.as_ref().map_or((Code::None, Ty::None), |no| self.expr(no));
                (Code::If(Box::new([test, yes, no])), yes_ty.join(no_ty))
            }
            Expr::List(list) => self.list(&list.items),
            Expr::Filter(filter) => match &filter.expr {
                Some(first) => self.function(filter.name, Some(first), &filter.args),
                None => self.fault(start(expr), "a value is expected before |"),
            },
            Expr::Call(call) => match &call.expr {
                Expr::Var(var) => self.function(var.id, None, &call.args),
                other => self.fault(start(other), "only functions of the table can be called"),
            },
            Expr::Test(test) => {
                let at = self.offset_of(test.name);
                self.fault(at, "there are no tests with `is`: a value that is missing is false, so write `x` or `not x`")
            }
            Expr::Slice(_) => self.fault(start(expr), "there are no slices: use substring(from, to)"),
            Expr::Tuple(_) => self.fault(start(expr), "write a list as [a, b]"),
            Expr::Map(_) => self.fault(start(expr), "there are no {…} values"),
        }
    }

    fn constant(&mut self, expr: &Expr<'c>, value: &minijinja::Value) -> (Code, Ty) {
        match value.kind() {
            ValueKind::Undefined | ValueKind::None => (Code::None, Ty::None),
            ValueKind::Bool => (Code::Bool(value.is_true()), Ty::Bool),
            ValueKind::String => (Code::Text(value.as_str().unwrap_or_default().into()), Ty::Text),
            ValueKind::Number => match value.as_i64().filter(|_| value.is_integer()) {
                Some(whole) => (Code::Int(whole), Ty::Int),
                // A decimal is taken from its text: a floating point number would not be exact.
                None => match self.text.get(span(expr)).and_then(|text| Decimal::from_str_exact(text).ok()) {
                    Some(exact) => (Code::Dec(exact), Ty::Dec),
                    None => self.fault(start(expr), "a number has digits and at most one point"),
                },
            },
            _ => self.fault(start(expr), "this is not a value of the mapping language"),
        }
    }

    fn path(&mut self, steps: &[Step<'_>]) -> (Code, Ty) {
        match self.scope.resolve(steps) {
            Ok(resolved) => resolved,
            Err((at, mut remark)) => {
                // The author wrote a path and knows nothing of the records' names.
                let base: Vec<&str> = steps.iter().take_while(|(_, place)| *place < at).map(|(name, _)| *name).collect();
                if let Some((_, field)) = remark.message.split_once(" has no field ").filter(|_| !base.is_empty()) {
                    remark.message = format!("{} has no field {field}", base.join("."));
                }
                self.fault(at, remark)
            }
        }
    }

    /// `a.b.c`: a path from a name, or from the value of anything else.
    fn attribute(&mut self, expr: &Expr<'c>) -> (Code, Ty) {
        let mut steps = Vec::new();
        let mut base = expr;
        while let Expr::GetAttr(attribute) = base {
            steps.push((attribute.name, self.offset_of(attribute.name)));
            base = &attribute.expr;
            if steps.len() > MAX_DEPTH {
                return self.fault(start(expr), "nested too deep");
            }
        }
        if let Expr::Var(var) = base {
            steps.push((var.id, self.offset_of(var.id)));
            steps.reverse();
            return self.path(&steps);
        }
        steps.reverse();
        let (code, ty) = self.expr(base);
        if matches!((&code, &ty), (Code::None, Ty::Any)) {
            return BROKEN;
        }
        match fields(code, ty, &steps) {
            Ok(resolved) => resolved,
            Err((at, remark)) => self.fault(at, remark),
        }
    }

    fn item(&mut self, item: &ast::GetItem<'c>) -> (Code, Ty) {
        let (code, ty) = self.expr(&item.expr);
        let (subscript, _) = self.expr(&item.subscript_expr);
        match (ty, subscript) {
            (Ty::List(of), Code::Int(at @ 0..=9999)) => (Code::Index(Box::new(code), at as usize), *of),
            (Ty::Any, _) => BROKEN,
            (Ty::List(_), _) => self.fault(start(&item.subscript_expr), "an entry is taken by a number written out, [0] is the first"),
            (ty, _) => self.fault(start(&item.subscript_expr), format!("{} has no entries; a field is written with a point", ty.noun())),
        }
    }

    fn number(&mut self, expr: &Expr<'c>) -> (Code, Ty) {
        let (code, ty) = self.expr(expr);
        if !ty.is_number() {
            return self.fault(start(expr), format!("a number is needed here, not {}", ty.noun()));
        }
        (code, ty)
    }

    fn binary(&mut self, binary: &ast::BinOp<'c>) -> (Code, Ty) {
        use ast::BinOpKind as Op;
        let op = match binary.op {
            Op::ScAnd | Op::ScOr => {
                let ((left, left_ty), (right, right_ty)) = (self.expr(&binary.left), self.expr(&binary.right));
                let (left, right) = (Box::new(left), Box::new(right));
                let code = if matches!(binary.op, Op::ScAnd) { Code::And(left, right) } else { Code::Or(left, right) };
                return (code, left_ty.join(right_ty));
            }
            Op::Eq => return self.compare(ast::CompareOpKind::Eq, &binary.left, &binary.right),
            Op::Ne => return self.compare(ast::CompareOpKind::Ne, &binary.left, &binary.right),
            Op::Lt => return self.compare(ast::CompareOpKind::Lt, &binary.left, &binary.right),
            Op::Lte => return self.compare(ast::CompareOpKind::Lte, &binary.left, &binary.right),
            Op::Gt => return self.compare(ast::CompareOpKind::Gt, &binary.left, &binary.right),
            Op::Gte => return self.compare(ast::CompareOpKind::Gte, &binary.left, &binary.right),
            Op::In => return self.compare(ast::CompareOpKind::In, &binary.left, &binary.right),
            Op::Concat => return self.concat(&binary.left, &binary.right),
            Op::Add => Arithmetic::Add,
            Op::Sub => Arithmetic::Sub,
            Op::Mul => Arithmetic::Mul,
            Op::Div => Arithmetic::Div,
            Op::FloorDiv | Op::Rem | Op::Pow => return self.fault(start(&binary.right), "numbers have + - * / only"),
        };
        let ((left, left_ty), (right, right_ty)) = (self.number(&binary.left), self.number(&binary.right));
        let ty = if op == Arithmetic::Div { Ty::Dec } else { left_ty.join(right_ty) };
        (Code::Arithmetic(op, Box::new(left), Box::new(right)), ty)
    }

    /// A call, with its arguments compiled first.
    fn function(&mut self, name: &'c str, first: Option<&Expr<'c>>, args: &[CallArg<'c>]) -> (Code, Ty) {
        let at = self.offset_of(name);
        let mut given = Vec::with_capacity(args.len() + 1);
        let positional = args.iter().map(|arg| if let CallArg::Pos(expr) = arg { Some(expr) } else { None });
        for expr in first.into_iter().map(Some).chain(positional) {
            let Some(expr) = expr else {
                return self.fault(at, "arguments are given by place, without names");
            };
            let (code, ty) = self.expr(expr);
            given.push(Given { code, ty, at: start(expr) });
        }
        self.call(name, at, given)
    }

    fn concat(&mut self, left: &Expr<'c>, right: &Expr<'c>) -> (Code, Ty) {
        let mut parts = Vec::new();
        for side in [left, right] {
            let (code, ty) = self.expr(side);
            if !ty.is_scalar() {
                self.fault(start(side), format!("{} is not a text: use join, or p:each", ty.noun()));
            }
            match code {
                Code::Concat(inner) => parts.extend(inner),
                other => parts.push(other),
            }
        }
        (Code::Concat(parts), Ty::Text)
    }

    fn list(&mut self, items: &[Expr<'c>]) -> (Code, Ty) {
        let mut ty = Ty::None;
        let mut codes = Vec::with_capacity(items.len());
        for item in items {
            let (code, item_ty) = self.expr(item);
            codes.push(code);
            ty = ty.join(item_ty);
        }
        (Code::List(codes), Ty::List(Box::new(ty)))
    }

    fn compare(&mut self, op: ast::CompareOpKind, left: &Expr<'c>, right: &Expr<'c>) -> (Code, Ty) {
        use ast::CompareOpKind as Op;
        let ((left_code, left_ty), (right_code, right_ty)) = (self.expr(left), self.expr(right));
        if matches!(op, Op::In | Op::NotIn) {
            return self.membership(matches!(op, Op::NotIn), (left_code, left_ty, left), (right_code, right_ty, right));
        }
        if left_ty.comparable(&right_ty) {
            let equality = matches!(op, Op::Eq | Op::Ne);
            for (ty, code, expr) in [(&left_ty, &right_code, right), (&right_ty, &left_code, left)] {
                if equality || !matches!(ty, Ty::Choice(_)) {
                    self.word(ty, code, start(expr));
                }
            }
        } else {
            let message = format!("{} cannot be compared with {}", left_ty.noun(), right_ty.noun());
            self.fault(start(right), message);
        }
        let (a, b) = (Box::new(left_code), Box::new(right_code));
        let code = match op {
            Op::Ne => Code::Not(Box::new(Code::Equal(a, b))),
            Op::Lt => Code::Order(Order::Less, a, b),
            Op::Lte => Code::Order(Order::LessOrEqual, a, b),
            Op::Gt => Code::Order(Order::Greater, a, b),
            Op::Gte => Code::Order(Order::GreaterOrEqual, a, b),
            Op::Eq | Op::In | Op::NotIn => Code::Equal(a, b),
        };
        (code, Ty::Bool)
    }

    fn membership(&mut self, negated: bool, needle: (Code, Ty, &Expr<'c>), hay: (Code, Ty, &Expr<'c>)) -> (Code, Ty) {
        match &hay.1 {
            Ty::List(of) if !of.comparable(&needle.1) => {
                self.fault(start(needle.2), format!("{} is never in a list of such as {}", needle.1.noun(), of.noun()));
            }
            Ty::List(_) | Ty::Any | Ty::None => {}
            ty if ty.is_text() && needle.1.is_text() => {}
            ty => {
                let message = format!("in needs a list or a text, not {}", ty.noun());
                self.fault(start(hay.2), message);
            }
        }
        if let (Code::List(items), Expr::List(list)) = (&hay.0, hay.2) {
            for (item, expr) in items.iter().zip(&list.items) {
                self.word(&needle.1, item, start(expr));
            }
        }
        let code = Code::In(Box::new(needle.0), Box::new(hay.0));
        (if negated { Code::Not(Box::new(code)) } else { code }, Ty::Bool)
    }

    /// A text written out has to be a word of the closed list, or a date, that it is compared with.
    pub(super) fn word(&mut self, ty: &Ty, code: &Code, at: usize) {
        let Code::Text(text) = code else { return };
        match ty {
            Ty::Choice(words) if !words.contains(&&**text) => {
                self.fault(at, Remark::unknown(format!("{text:?} is not one of: {}", words.join(", ")), text, words.iter().copied()));
            }
            Ty::Date | Ty::Time => {
                let date = super::value::date(&super::value::V::Str(text)).is_some();
                if !date && text.parse::<crate::domain::time::Timestamp>().is_err() {
                    self.fault(at, format!("{text:?} is no date like 2026-11-20"));
                }
            }
            _ => {}
        }
    }
}

/// Where an expression begins.
fn start(expr: &Expr<'_>) -> usize {
    span(expr).start
}

/// The bytes of an expression.
fn span(expr: &Expr<'_>) -> std::ops::Range<usize> {
    let span = match expr {
        Expr::Var(node) => node.span(),
        Expr::Const(node) => node.span(),
        Expr::Slice(node) => node.span(),
        Expr::UnaryOp(node) => node.span(),
        Expr::BinOp(node) => node.span(),
        Expr::Compare(node) => node.span(),
        Expr::IfExpr(node) => node.span(),
        Expr::Filter(node) => return node.expr.as_ref().map_or(0, start)..node.span().end_offset as usize,
        Expr::Test(node) => return start(&node.expr)..node.span().end_offset as usize,
        Expr::GetAttr(node) => return start(&node.expr)..node.span().end_offset as usize,
        Expr::GetItem(node) => return start(&node.expr)..node.span().end_offset as usize,
        Expr::Call(node) => return start(&node.expr)..node.span().end_offset as usize,
        Expr::List(node) => node.span(),
        Expr::Tuple(node) => node.span(),
        Expr::Map(node) => node.span(),
    };
    span.start_offset as usize..span.end_offset as usize
}
