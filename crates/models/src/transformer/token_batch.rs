//! Texts' tokens as one batch.

use crate::error::ModelError;
use tch::{Device, Kind, Tensor};

/// Tokens of texts, filled up to one length.
pub(crate) struct TokenBatch {
    /// `[texts, length]`, whole numbers.
    pub(crate) ids: Tensor,
    /// 1 where a token is, 0 where the batch was filled up, `[texts, length]`, f32; none where nothing was, or where
    /// the network sees the filling.
    pub(crate) mask: Option<Tensor>,
    pub(crate) texts: i64,
    pub(crate) length: i64,
}

impl TokenBatch {
    /// Fills up to the longest, or to `full` with the filling in view. None of the texts is without tokens.
    pub(crate) fn new(
        tokens: &[&[i64]],
        filling: i64,
        full: Option<usize>,
        device: Device,
    ) -> Result<Self, ModelError> {
        let longest = tokens.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let length = full.unwrap_or(longest).max(longest);
        let (mut ids, mut mask) = (Vec::with_capacity(tokens.len() * length), Vec::new());
        for text in tokens {
            let rest = length - text.len();
            ids.extend(text.iter().copied().chain(std::iter::repeat_n(filling, rest)));
            mask.extend(std::iter::repeat_n(1.0_f32, text.len()).chain(std::iter::repeat_n(0.0, rest)));
        }
        let hidden = full.is_none() && tokens.iter().any(|ids| ids.len() < length);
        let [texts, length] = [tokens.len(), length].map(|size| i64::try_from(size).unwrap_or(i64::MAX));
        let on_device = |tensor: Tensor| tensor.f_reshape([texts, length])?.f_to_device(device);
        Ok(Self {
            ids: on_device(Tensor::f_from_slice(&ids)?)?,
            mask: hidden.then(|| on_device(Tensor::f_from_slice(&mask)?)).transpose()?,
            texts,
            length,
        })
    }

    /// 1 where a token is, 0 where the batch was filled up, as whole numbers.
    pub(crate) fn whole_mask(&self) -> Result<Tensor, ModelError> {
        match &self.mask {
            Some(mask) => Ok(mask.f_to_kind(Kind::Int64)?),
            None => Ok(self.ids.f_ones_like()?),
        }
    }

    /// What is added to attention's scores: minus infinity where a batch was filled up, `[texts, 1, 1, length]`.
    pub(crate) fn hiding(&self, kind: Kind) -> Result<Option<Tensor>, ModelError> {
        let Some(mask) = &self.mask else { return Ok(None) };
        let hidden = mask.f_eq(0.0)?.f_unsqueeze(1)?.f_unsqueeze(1)?;
        let zeros = hidden.f_zeros_like()?.f_to_kind(kind)?;
        Ok(Some(zeros.f_masked_fill(&hidden, f64::NEG_INFINITY)?))
    }
}
